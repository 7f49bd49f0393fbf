"""The tokens of a tokenizer: their ids, and which of them are special.

Source: transformers tokenization_utils_base.py and tokenization_utils_tokenizers.py, whose names these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, overload

from tokenizers import AddedToken, Tokenizer

Token: TypeAlias = str | AddedToken

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Special tokens that have a name of their own, in the order in which they are listed."""


class NamedToken:
    """Attribute that holds a named special token, such as `pad_token`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, table: TokenTable, owner: type | None = None) -> str | None:
        return table.named_tokens.get(self._name)

    def __set__(self, table: TokenTable, value: Token | None) -> None:
        if value is None:
            table.named_tokens.pop(self._name, None)
        elif isinstance(value, (str, AddedToken)):
            table.named_tokens[self._name] = str(value)
        else:
            raise ValueError(f"{self._name} must be a token's text, got {value!r}")


class NamedTokenId:
    """Attribute that holds the id of a named special token, such as `pad_token_id`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removesuffix("_id")

    def __get__(self, table: TokenTable, owner: type | None = None) -> int | None:
        token = table.named_tokens.get(self._name)
        return None if token is None else table.convert_tokens_to_ids(token)

    def __set__(self, table: TokenTable, value: int | None) -> None:
        setattr(table, self._name, None if value is None else table.convert_ids_to_tokens(value))


class TokenTable:
    """Tokens of one tokenizer. Grows by `add_tokens`; special tokens may be renamed, as by `pad_token = …`."""

    bos_token, bos_token_id = NamedToken(), NamedTokenId()
    eos_token, eos_token_id = NamedToken(), NamedTokenId()
    unk_token, unk_token_id = NamedToken(), NamedTokenId()
    sep_token, sep_token_id = NamedToken(), NamedTokenId()
    pad_token, pad_token_id = NamedToken(), NamedTokenId()
    cls_token, cls_token_id = NamedToken(), NamedTokenId()
    mask_token, mask_token_id = NamedToken(), NamedTokenId()

    def __init__(self, backend: Tokenizer, named: Mapping[str, Token | None], extra: Iterable[Token] = ()) -> None:
        """backend: the vocabulary; named: special tokens by attribute; extra: those that have no attribute.

        Special tokens that the vocabulary lacks are added to it. Raises ValueError for an unknown name.
        """
        if unknown := sorted(set(named) - set(NAMED_TOKENS)):
            raise ValueError(f"a named special token must be one of {', '.join(NAMED_TOKENS)}, got {unknown[0]}")
        self._backend = backend
        self.named_tokens = {name: str(token) for name in NAMED_TOKENS if (token := named.get(name)) is not None}
        self.extra_special_tokens = [str(token) for token in extra]
        known = self.added_tokens_encoder
        wanted = {str(token): token for token in (*named.values(), *extra) if token is not None}
        self.add_tokens([_special(token) for content, token in wanted.items() if content not in known])

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizers library's own."""
        return self._backend

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Named special tokens by attribute."""
        return {name: self.named_tokens[name] for name in NAMED_TOKENS if name in self.named_tokens}

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once: the named ones, then the others."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    @property
    def vocab_size(self) -> int:
        """Pieces of text, without the added tokens."""
        return int(self._backend.get_vocab_size(with_added_tokens=False))

    def __len__(self) -> int:
        """All tokens, the added ones too."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def __bool__(self) -> bool:
        """Exist, whatever the length."""
        return True

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    @property
    def vocab(self) -> dict[str, int]:
        """Id of every token."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Added tokens by id."""
        return dict(sorted(self._backend.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Id of every added token."""
        return {token.content: at for at, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """Return the id of every added token."""
        return self.added_tokens_encoder

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Put tokens behind the vocabulary and return how many it did not have."""
        tokens = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else list(new_tokens)
        add = self._backend.add_special_tokens if special_tokens else self._backend.add_tokens
        return int(add(tokens)) if tokens else 0

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_extra_special_tokens: bool = True
    ) -> int:
        """Name special tokens, adding to the vocabulary those that it lacks; return how many those were.

        special_tokens_dict: tokens by attribute, and lists of others under `extra_special_tokens` (or
        `additional_special_tokens`), which replace the present ones or extend them. Raises ValueError.
        """
        tokens: list[AddedToken] = []
        for name, value in special_tokens_dict.items():
            if name in {"extra_special_tokens", "additional_special_tokens"}:
                kept = [] if replace_extra_special_tokens else self.extra_special_tokens
                self.extra_special_tokens = list(dict.fromkeys([*kept, *map(str, value)]))
                tokens += map(_special, value)
            elif name in NAMED_TOKENS:
                setattr(self, name, value)
                tokens.append(_special(value))
            else:
                raise ValueError(f"a special token must be one of {', '.join(NAMED_TOKENS)}, got {name!r}")
        return self.add_tokens(tokens, special_tokens=True)

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...

    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...

    def convert_tokens_to_ids(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        """Return the id of a token, or of each of several; one that is unknown has the id of `unk_token`."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        token = self._backend.token_to_id(tokens)
        if token is None:
            unknown = self.named_tokens.get("unk_token")
            token = None if unknown is None else self._backend.token_to_id(unknown)
        return token  # type: ignore[no-any-return]  # the library is untyped

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str | None: ...

    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str | None]: ...

    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> str | list[str | None] | None:
        """Return the token of an id, or of each of several; None for an id that is none."""
        if isinstance(ids, int):
            return self._backend.id_to_token(ids)  # type: ignore[no-any-return]  # the library is untyped
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._backend.id_to_token(token) for token in map(int, ids) if token not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens, given as the vocabulary writes them."""
        return str(self._backend.decoder.decode(list(tokens)))


def _special(token: Token) -> AddedToken:
    """Return the token as a special one, found as it is written."""
    if isinstance(token, str):
        return AddedToken(token, normalized=False, special=True)
    return AddedToken(**token.__getstate__() | {"special": True})
