"""A vocabulary as checkpoints store it: `tokenizer.json`, or `vocab.json` with `merges.txt`.

Source: the Hugging Face layout; byte-level BPE of Radford et al. 2019 (GPT-2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from model.config import ModelError
from model.files.json_file import read_json

Merge: TypeAlias = tuple[str, str]
"""Two pieces that become one, in the letters that stand for bytes."""


@dataclass(frozen=True, slots=True)
class VocabularyFiles:
    """What the files of a vocabulary say."""

    vocabulary: Mapping[str, int]
    """Id of each byte-level piece."""
    merges: Sequence[Merge]
    """Best first."""
    added: Mapping[int, AddedToken] = field(default_factory=dict)
    """Tokens that are found in text before it is split into pieces."""

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read what is there, `tokenizer.json` first. Raises ModelError if there is nothing or it is unreadable."""
        if (path := folder / "tokenizer.json").is_file():
            return cls.from_tokenizer_file(path)
        vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
        if not (vocabulary.is_file() and merges.is_file()):
            raise ModelError(f"{folder} holds no tokenizer.json, nor vocab.json with merges.txt")
        added = folder / "added_tokens.json"
        return cls.from_merges_file(vocabulary, merges, added if added.is_file() else None)

    @classmethod
    def from_tokenizer_file(cls, path: Path) -> Self:
        """Read a `tokenizer.json`. Raises ModelError."""
        spec = read_json(path)
        try:
            merges = pairs(merge.split(" ") if isinstance(merge, str) else merge for merge in spec["model"]["merges"])
            added = {int(token["id"]): added_token(token) for token in spec["added_tokens"]}
            return cls(_checked(spec["model"]["vocab"]), merges, added)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} is not a tokenizer: {error!r}") from error

    @classmethod
    def from_merges_file(cls, vocabulary: Path, merges: Path, added: Path | None = None) -> Self:
        """Read the older layout: pieces, merges, and added tokens in files of their own. Raises ModelError."""
        try:
            lines = merges.read_text(encoding="utf-8").split("\n")
            # A merge of "#" exists; the header is the only line that begins so and names a version.
            listed = pairs(line.split(" ") for line in lines if line.strip() and not line.startswith("#version"))
            extra = read_json(added) if added else {}
            tokens = {int(token): AddedToken(content, normalized=False) for content, token in extra.items()}
            return cls(_checked(read_json(vocabulary)), listed, tokens)
        except OSError as error:
            raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{vocabulary} and {merges} are not a tokenizer: {error}") from error

    def build(self, *, add_prefix_space: bool = False) -> Tokenizer:
        """Return the byte-level BPE, without the added tokens. Raises ValueError for merges of what is no piece."""
        try:
            tokenizer = Tokenizer(BPE(vocab=dict(self.vocabulary), merges=list(self.merges)))
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise ValueError(f"the merges do not fit the vocabulary: {error}") from error
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=add_prefix_space)
        tokenizer.decoder = ByteLevelDecoder()
        return tokenizer

    def ids(self) -> dict[str, int]:
        """Return the id of every entry, pieces and added tokens alike."""
        return {**self.vocabulary, **{token.content: at for at, token in self.added.items()}}


def added_token(values: Mapping[str, Any] | str, *, special: bool | None = None) -> AddedToken:
    """Build an added token from what JSON says of it; `special` overrides. Raises KeyError, TypeError."""
    if isinstance(values, str):
        return AddedToken(values, normalized=not special, special=bool(special))
    flags = {name: bool(values[name]) for name in ("single_word", "lstrip", "rstrip", "normalized") if name in values}
    wanted = values.get("special", False) if special is None else special
    return AddedToken(str(values["content"]), special=bool(wanted), **flags)


def pairs(merges: Iterable[Iterable[str]]) -> list[Merge]:
    """Return the two pieces of each merge. Raises ValueError if there are not two."""
    return [(first, second) for first, second in merges]


def _checked(vocabulary: Any) -> dict[str, int]:
    """Return a vocabulary whose values are ids. Raises TypeError."""
    if not isinstance(vocabulary, dict) or not all(isinstance(token, int) for token in vocabulary.values()):
        raise TypeError("the vocabulary must give each piece its id")
    return vocabulary
