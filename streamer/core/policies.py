"""From settings to a commit policy."""

from __future__ import annotations

from model.types import SAMPLE_RATE
from streamer.config import CommitPolicyName, SessionConfig
from streamer.core.attention_commit import AttentionGuard
from streamer.core.commit import CommitPolicy, LocalAgreement


def new_policy(config: SessionConfig) -> CommitPolicy:
    """Return the policy of one utterance."""
    agreement = LocalAgreement(config.commit_margin_ms * SAMPLE_RATE // 1000)
    if config.commit_policy is CommitPolicyName.AGREEMENT:
        return agreement
    distance = config.attention_distance_ms * SAMPLE_RATE // 1000
    return AttentionGuard(agreement, distance, config.attention_probability)
