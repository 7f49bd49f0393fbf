"""Everything that is compared is there, and what cannot be is said."""

from itertools import product

import pytest

from benchmarks.contestants import INTERVAL_MS, SHORT, ours, peers
from benchmarks.peers.absent import NotMeasured
from streamer.config import CommitPolicyName, SessionConfig


def test_every_policy_context_and_draft_setting_is_compared_at_one_interval():
    found = [one.variant for one in ours("demo")]

    for policy, context, drafts in product(CommitPolicyName, ("dynamic", "full"), (True, False)):
        settings = (policy, context, drafts, INTERVAL_MS, True)
        assert [(v.policy, v.context, v.drafts, v.interval_ms, v.reuse) for v in found].count(settings) == 1
    assert len({one.name for one in ours("demo")}) == len(found)


def test_the_defaults_hear_all_of_the_audio():
    default = SessionConfig()
    heard = {(one.variant.policy, one.variant.interval_ms) for one in ours("demo") if one.share == 1}

    assert (default.commit_policy, default.update_interval_ms) in heard
    assert {(policy, INTERVAL_MS) for policy in CommitPolicyName} <= heard


@pytest.mark.parametrize("context", ["dynamic", "full"])
def test_what_reuse_saves_and_changes_can_be_told_from_the_same_without_it(context):
    for policy in CommitPolicyName:
        same = [one for one in ours("demo") if one.variant.policy == policy and one.variant.context == context]
        drafting = {one.variant.reuse: one.share for one in same if one.variant.drafts and not one.among_peers}
        assert drafting[True] == drafting[False]
        assert drafting[True] == (1.0 if context == "dynamic" else SHORT)


def test_our_defaults_also_hear_what_peers_hear_where_that_is_less():
    default = SessionConfig()
    (one,) = [one for one in ours("demo", 0.25) if one.among_peers]

    assert (one.share, one.variant.policy) == (0.25, default.commit_policy)
    assert one.variant.interval_ms == default.update_interval_ms
    assert one.name not in {other.name for other in ours("demo")}
    assert not any(other.among_peers for other in ours("demo", 1.0))


def test_a_peer_whose_code_is_not_given_cannot_be_measured(tmp_path):
    found = list(peers({}))

    assert {one.name for one in found} == {"whisper_streaming", "SimulStreaming", "WhisperLive"}
    for one in found:
        with pytest.raises(NotMeasured):
            one.build(tmp_path)
