"""Text to Whisper's tokens and back: a byte-level BPE vocabulary with special and timestamp tokens after it.

Ids are taken from the vocabulary itself, so English-only (51,864), multilingual (51,865) and large-v3 (51,866)
vocabularies all work. Source: Radford et al. 2022, 2.3; `tokenizer.json` of the Hugging Face checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tokenizers import AddedToken, Tokenizer

from model.config import ModelError
from model.text.languages import LANGUAGES, SPACELESS
from model.text.vocabulary_files import VocabularyFiles
from model.text.words import Unit, split_words
from model.types import Task

TIMESTAMPS = 1501
"""<|0.00|> to <|30.00|> in steps of 20 ms."""
ENGLISH_ONLY_EOT = 50256
"""Where GPT-2's vocabulary ends, which only English-only models use; the multilingual one has a token more."""


class Vocabulary:
    """Vocabulary of one checkpoint. Immutable."""

    def __init__(self, text: Tokenizer, specials: Mapping[str, int]) -> None:
        """text: the byte-level BPE; specials: id of every `<|…|>` token. Raises ModelError for one that is missing."""
        self._text = text
        # Text that merely looks like a special token is text: a client's words must not steer the decoder.
        self._text.encode_special_tokens = True
        self._specials = dict(specials)
        self.eot = self._special("<|endoftext|>")
        self.sot = self._special("<|startoftranscript|>")
        self.startofprev = self._special("<|startofprev|>")
        self.startoflm = self._special("<|startoflm|>")
        self.nospeech = self._special("<|nospeech|>", "<|nocaptions|>")
        self.notimestamps = self._special("<|notimestamps|>")
        self.transcribe = self._special("<|transcribe|>")
        self.translate = self._special("<|translate|>")
        self.timestamp_begin = self._specials.get("<|0.00|>", self.notimestamps + 1)
        self.multilingual = self.eot != ENGLISH_ONLY_EOT
        codes = {code: self._specials[f"<|{code}|>"] for code in LANGUAGES if f"<|{code}|>" in self._specials}
        self.languages: Mapping[str, int] = codes if self.multilingual else {}
        """Language token of each code, in the order of the ids; empty for an English-only model."""
        timestamps = {self.timestamp_begin + i: f"<|{i * 0.02:.2f}|>" for i in range(TIMESTAMPS)}
        self._special_text = timestamps | {token: content for content, token in self._specials.items()}
        self._bytes = token_bytes(text, self._special_text)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read `tokenizer.json`, or `vocab.json` and `merges.txt`, from a model folder. Raises ModelError."""
        try:
            return cls.from_files(VocabularyFiles.from_folder(Path(folder)))
        except ValueError as error:
            raise ModelError(f"{folder} holds no tokenizer: {error}") from error

    @classmethod
    def from_files(cls, files: VocabularyFiles) -> Self:
        """Build from what the files say. Raises ModelError for another model's, ValueError for a broken one."""
        text = files.build()
        # Old files hold the timestamps as plain tokens, which encoding text would then find.
        # All at once: after each call the library builds its search for all of them again.
        text.add_tokens(
            [
                AddedToken(**token.__getstate__() | {"special": token.special or is_special(token.content)})
                for _, token in sorted(files.added.items())
            ]
        )
        return cls(text, {content: token for content, token in files.ids().items() if is_special(content)})

    def with_cantonese(self) -> Vocabulary:
        """Return the vocabulary of large-v3: one more language at the end of them, everything after it moves by one."""
        place = max(self.languages.values()) + 1
        moved = {content: token + (token >= place) for content, token in self._specials.items()}
        return Vocabulary(self._text, moved | {"<|yue|>": place})

    @property
    def vocab_size(self) -> int:
        """Ids that are tokens: text, special and timestamp ones."""
        return max(self._bytes) + 1

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of plain text; special tokens written out in it are text like any other."""
        return tuple(self._text.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Iterable[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text; timestamps are left out, and the other special tokens unless asked for.

        Bytes that are no UTF-8, such as half a character at the end, become U+FFFD. Raises ValueError for an id that
        the vocabulary does not have.
        """
        limit = self.eot if skip_special_tokens else self.timestamp_begin
        kept = (token for token in tokens if token < limit or token not in self._special_text)
        return self._join(kept).decode(errors="replace")

    def decode_with_timestamps(self, tokens: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text with timestamps written out, such as `<|1.08|>`; special tokens too unless skipped."""
        kept = (t for t in tokens if self.is_timestamp(t) or not (skip_special_tokens and t in self._special_text))
        return self._join(kept).decode(errors="replace")

    def is_timestamp(self, token: int) -> bool:
        """Say whether a token is a timestamp."""
        return self.timestamp_begin <= token < self.timestamp_begin + TIMESTAMPS

    def sot_sequence(
        self, language: str | None = "en", task: Task = Task.TRANSCRIBE, *, timestamps: bool = True
    ) -> tuple[int, ...]:
        """Return the tokens a transcript starts with; an English-only model names no language and no task.

        language: a code the vocabulary has, or None to stop after the start token, for language detection.
        Raises ValueError for a language or task this model does not know.
        """
        tokens = [self.sot]
        if self.multilingual:
            if language is None:
                return (self.sot,)
            if language not in self.languages:
                raise ValueError(f"language must be one of {', '.join(self.languages)}, got {language!r}")
            tokens += [self.languages[language], self.transcribe if task is Task.TRANSCRIBE else self.translate]
        elif language not in {None, "en"} or task is not Task.TRANSCRIBE:
            raise ValueError(f"an English-only model can only transcribe 'en', got {task.value} {language!r}")
        return tuple(tokens) if timestamps else (*tokens, self.notimestamps)

    def split_words(self, tokens: Sequence[int], *, language: str | None = None, merge: bool = True) -> list[Unit]:
        """Split tokens into words with their tokens; nothing is lost, the texts join to the decoded whole.

        Words end at spaces, or at every character in a language without them. merge: attach punctuation to its word.
        Special tokens are words of their own. Raises ValueError for an id that the vocabulary does not have.
        """
        pieces = [(token, self._piece(token)) for token in tokens]
        return split_words(pieces, self.eot, spaces=language not in SPACELESS, merge=merge)

    def _special(self, *names: str) -> int:
        """Return the id of a special token under the first of its names that exists."""
        for name in names:
            if name in self._specials:
                return self._specials[name]
        raise ModelError(f"the vocabulary is not a Whisper's: it has no {names[0]}")

    def _piece(self, token: int) -> bytes:
        """Return the bytes of a token."""
        piece = self._bytes.get(token)
        if piece is None:
            raise ValueError(f"token must be in the vocabulary of {self.vocab_size}, got {token}")
        return piece

    def _join(self, tokens: Iterable[int]) -> bytes:
        """Return the bytes of all tokens."""
        return b"".join(map(self._piece, tokens))


def is_special(content: str) -> bool:
    """Say whether a vocabulary entry is a special token by its looks: `<|…|>`."""
    return len(content) > 4 and content.startswith("<|") and content.endswith("|>")


def token_bytes(text: Tokenizer, special_text: Mapping[int, str]) -> dict[int, bytes]:
    """Return what each id stands for, as bytes."""
    to_latin = str.maketrans({character: chr(byte) for character, byte in _byte_alphabet().items()})
    plain = {
        token: content.translate(to_latin).encode("latin-1")
        for content, token in text.get_vocab(with_added_tokens=False).items()
        if not is_special(content)
    }
    # An added word is stored as it is written.
    plain |= {token: added.content.encode() for token, added in text.get_added_tokens_decoder().items()}
    # Ids of the vocabulary that a moved special token now has are the special token's.
    return plain | {token: content.encode() for token, content in special_text.items()}


def _byte_alphabet() -> dict[str, int]:
    """Return the printable character that stands for each byte in a byte-level vocabulary.

    Printable Latin-1 stands for itself; the other bytes take the characters from U+0100 on, in order.
    Source: Radford et al. 2019 (GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
