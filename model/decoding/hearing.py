"""What is heard of a request before anything is decoded: the encoder's output and the language.

Source of detection: openai/whisper decoding.py, detect_language; Radford et al. 2022, section 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from torch import Tensor

from model.decoding.decode import BatchDecoder
from model.decoding.encode import Encoded, WindowEncoder
from model.layers.window_memory import AttentionMemory
from model.types import DecodeRequest


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One request, encoded."""

    audio: Tensor
    """(positions, d_model)."""
    language: str
    """As it was asked for, or the likeliest of those that were allowed."""
    probability: float | None
    """Of the language among those that were allowed; None if there was nothing to choose."""
    computed: int
    """Positions that were computed for it."""
    known: AttentionMemory | None
    """What the decoder has made of the audio already."""


class Listener:
    """Encodes requests and finds out their languages; a row depends on its own request only."""

    def __init__(
        self, encoder: WindowEncoder, decoder: BatchDecoder, sot: int, languages: Mapping[str, int], default: str
    ) -> None:
        """sot: the start-of-transcript token; languages: token of each; default: of a model that knows no others."""
        self._encoder = encoder
        self._decoder = decoder
        self._sot = sot
        self._languages = dict(languages)
        self._default = default

    def hear(self, batch: Sequence[DecodeRequest], full: Sequence[bool]) -> list[Heard]:
        """Encode a batch and name its languages; full: see `WindowEncoder.encode`."""
        windows = self._encoder.encode(batch, full)
        choices = [self._choices(request) for request in batch]
        unknown = [row for row, codes in enumerate(choices) if len(codes) > 1]
        found = dict(zip(unknown, self._judge([windows[row].audio for row in unknown]), strict=True))
        heard = []
        for row, codes in enumerate(choices):
            language, probability = likeliest(codes, found[row]) if row in found else (codes[0], None)
            window = windows[row]
            heard.append(Heard(window.audio, language, probability, window.computed, window.known))
        return heard

    def _choices(self, request: DecodeRequest) -> Sequence[str]:
        """Return the languages that a request may be in."""
        if request.language is not None:
            return [request.language]
        known = list(self._languages) or [self._default]
        allowed = set(request.languages)
        return [code for code in known if code in allowed] if allowed else known

    def _judge(self, rows: Sequence[Tensor]) -> list[dict[str, float]]:
        """Return the logit of each language the model knows, for each row."""
        if not rows:
            return []
        batch = Encoded.of(rows)
        logits = self._decoder.detect(batch.audio, batch.lengths, self._sot, list(self._languages.values()))
        return [dict(zip(self._languages, row, strict=True)) for row in logits]


def likeliest(codes: Sequence[str], logits: Mapping[str, float]) -> tuple[str, float]:
    """Return the language of the highest logit among `codes`, the first of equals, and its probability among them."""
    best = max(codes, key=logits.__getitem__)
    return best, 1 / sum(exp(logits[code] - logits[best]) for code in codes)
