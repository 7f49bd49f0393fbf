"""How a stream is decoded and committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from streamer.config.check import ConfigError, require


class CommitPolicyName(StrEnum):
    """When a word is said for good."""

    AGREEMENT = "agreement"
    """When two hypotheses in a row agree on it."""
    ATTENTION = "attention"
    """That, or at first sight if the decoder was sure of it and looked well before the end of the audio."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """How a stream is decoded and committed."""

    update_interval_ms: int = 400
    """New audio needed before an open utterance is decoded again."""
    max_update_interval_ms: int = 1_600
    """The same at most, while the device cannot keep up with all streams; beyond that new ones are refused."""
    commit_margin_ms: int = 300
    """A word that ends closer than this to the end of the audio waits."""
    commit_policy: CommitPolicyName = CommitPolicyName.ATTENTION
    """agreement: what two hypotheses agree on; attention: that, and words that are sure at first sight."""
    attention_distance_ms: int = 300
    """The decoder's attention to a word that is sure at first sight ends this long before the audio, at least."""
    attention_probability: float = 0.95
    """Probability of a word that is sure at first sight, at least."""
    trim_after_ms: int = 8_000
    """Window length beyond which committed audio is trimmed."""
    left_context_ms: int = 4_000
    """Committed audio kept in the window when trimming."""
    max_backlog_ms: int = 60_000
    """Audio a session holds undecided; beyond it the connection stops reading, and nothing is dropped."""
    prompt_tokens: int = 223
    """Tokens of earlier text given to the decoder, at most; 0 decodes each window by itself."""
    languages: tuple[str, ...] = ()
    """Codes that are detected where a client names no language and no languages; none: all that the model has."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("session.update_interval_ms", self.update_interval_ms, 50, 10_000)
        require("session.max_update_interval_ms", self.max_update_interval_ms, 50, 20_000)
        require("session.commit_margin_ms", self.commit_margin_ms, 0, 5_000)
        require("session.attention_distance_ms", self.attention_distance_ms, 0, 5_000)
        require("session.attention_probability", self.attention_probability, 0, 1)
        require("session.trim_after_ms", self.trim_after_ms, 5_000, 28_000)
        require("session.left_context_ms", self.left_context_ms, 0, self.trim_after_ms / 2)
        require("session.max_backlog_ms", self.max_backlog_ms, 35_000, 600_000)
        require("session.prompt_tokens", self.prompt_tokens, 0, 223)

    def check_languages(self, known: Sequence[str]) -> None:
        """Raise ConfigError for languages that a model does not have."""
        if unknown := [code for code in self.languages if code not in known]:
            allowed, got = ", ".join(sorted(known)), ", ".join(map(repr, unknown))
            raise ConfigError(f"session.languages must be some of {allowed}, got {got}")
