"""This program in virtual time: what it says comes when audio and costs say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.emission import Run
from benchmarks.speech import Speech
from benchmarks.virtual import StreamerSystem, Variant
from model.types import SAMPLE_RATE
from streamer.config import CommitPolicyName, EndpointConfig
from tests.fakes import LevelRecognizer, LevelVad, silence, speak

SPEECH = Speech(np.concatenate([silence(3200), speak(range(10)), silence(SAMPLE_RATE)]), ())
WORDS = tuple(f"w{number}" for number in range(10))


class Meter:
    """Each look costs half of `cost`, so that each request costs `cost`."""

    def __init__(self, cost: float) -> None:
        self._step = cost
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._step
        return self._now


def hear(cost: float = 0.1, recognizer: LevelRecognizer | None = None, *, drafts: bool = True) -> Run:
    variant = Variant(CommitPolicyName.AGREEMENT, drafts=drafts, interval_ms=400)
    system = StreamerSystem(variant, recognizer or LevelRecognizer(), meter=Meter(cost), vad=lambda _: LevelVad())
    return system.run(SPEECH)


def test_every_word_is_committed_once_and_the_last_message_is_final():
    run = hear()

    assert tuple(word for emission in run.emissions for word in emission.committed) == WORDS
    assert [emission.final for emission in run.emissions] == [False] * (len(run.emissions) - 1) + [True]
    assert all(emission.rewritten == 0 for emission in run.emissions)


def test_work_is_counted_and_an_idle_system_answers_after_its_cost():
    run = hear(cost=0.1)

    assert run.updates == run.passes == len(run.emissions)
    assert run.busy == pytest.approx(0.1 * run.updates)
    assert [e.at - e.audio for e in run.emissions[:-1]] == pytest.approx([0.1] * (run.updates - 1))


def test_updates_come_with_the_audio_and_the_final_after_the_hangover():
    run = hear(cost=0.0)
    partials = [emission.audio for emission in run.emissions[:-1]]

    assert np.diff(partials) == pytest.approx([0.4] * (len(partials) - 1), abs=0.04)
    spoken_until = (len(SPEECH.samples) - SAMPLE_RATE - SAMPLE_RATE // 20) / SAMPLE_RATE
    assert run.emissions[-1].audio == pytest.approx(spoken_until + EndpointConfig().hangover_ms / 1000, abs=0.06)


def test_a_slow_system_queues_and_says_the_same():
    quick, slow = hear(cost=0.0), hear(cost=1.0)

    assert [e.committed for e in slow.emissions] == [e.committed for e in quick.emissions]
    assert [e.audio for e in slow.emissions] == [e.audio for e in quick.emissions]
    assert np.diff([e.at for e in slow.emissions]) == pytest.approx([1.0] * (slow.updates - 1))


def test_without_drafts_the_recognizer_gets_none():
    for drafts in (True, False):
        recognizer = LevelRecognizer()
        hear(recognizer=recognizer, drafts=drafts)
        assert any(request.draft for request in recognizer.requests) == drafts


def test_the_recognizer_may_forget_the_stream():
    recognizer = LevelRecognizer()
    hear(recognizer=recognizer)
    assert len(recognizer.forgotten) == 1


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (Variant(CommitPolicyName.AGREEMENT), "streamer, agreement, 0.35 s"),
        (
            Variant(CommitPolicyName.ATTENTION, "full", drafts=False, interval_ms=500),
            "streamer, attention, full context, no drafts, 0.5 s",
        ),
    ],
)
def test_the_name_of_a_setting_says_what_is_not_the_rule(variant, name):
    assert variant.name == name
