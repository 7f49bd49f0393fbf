"""Whether what was decoded is good enough, has to be tried again, or is noise that was taken for speech.

Source: Radford et al. 2022, section 4.5; transformers generation_whisper.py `_need_fallback`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import torch
from torch import Tensor


class Verdict(Enum):
    """What becomes of a window's tokens."""

    TAKE = auto()
    RETRY = auto()
    """Decode at the next temperature, if there is one."""
    SILENCE = auto()
    """Nothing was said."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of what is taken; None for any."""

    compression_ratio: float | None = None
    """Most bytes of tokens per compressed byte: more is a loop."""
    log_probability: float | None = None
    """Least average over the tokens."""
    no_speech: float | None = None
    """Probability of no speech above which tokens below `log_probability` are dropped."""

    def judge(self, tokens: Tensor, vocab_size: int, log_probability: float, no_speech: float) -> Verdict:
        """Judge tokens (n,), the end of text included if it came; the numbers count only if there is a bound."""
        unlikely = self.log_probability is not None and log_probability < self.log_probability
        if unlikely and self.no_speech is not None and no_speech > self.no_speech:
            return Verdict.SILENCE
        loops = self.compression_ratio is not None and compression_ratio(tokens, vocab_size) > self.compression_ratio
        return Verdict.RETRY if unlikely or loops else Verdict.TAKE


def compression_ratio(tokens: Tensor, vocab_size: int) -> float:
    """Return the bytes of tokens (n,) per byte of them compressed; as many bytes a token as the vocabulary needs."""
    width = int(math.log2(vocab_size) / 8) + 1
    data = b"".join(token.to_bytes(width, "little") for token in tokens.tolist())
    return len(data) / len(zlib.compress(data))


def average_log_probability(log_probabilities: Tensor) -> float:
    """Return the mean, or -inf if there are none."""
    return float(log_probabilities.sum() / len(log_probabilities)) if len(log_probabilities) else -math.inf


def token_log_probabilities(scores: Sequence[Tensor], tokens: Tensor, temperature: float) -> Tensor:
    """Return the log-probability of tokens (n,) by the scores of each step (vocab_size,), at temperature 1.

    scores: as the search processed them, divided by the temperature it drew at (0 if it did not draw). Of more scores
    than tokens the first count, of more tokens than scores the last.
    """
    count = min(len(scores), len(tokens))
    if count == 0:
        return torch.zeros(0)
    tokens = tokens[-len(scores) :]
    steps = torch.stack(list(scores[:count])).to(tokens.device)
    log_probabilities = (steps * (temperature if temperature > 0 else 1.0)).float().log_softmax(dim=-1)
    return log_probabilities.gather(1, tokens[:, None])[:, 0]
