"""Many clients: from what they heard to a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.clients import Outcome, Task, announced, describe, run_client, sum_up
from benchmarks.delays import Delays
from benchmarks.load import describe as describe_levels
from benchmarks.load import sum_up as level_of
from benchmarks.load_plot import plot_load
from benchmarks.speech import Speech, SpokenWord
from benchmarks.stream import Arrival, Recording, RefusedError
from model.types import SAMPLE_RATE
from streamer.recognition.governor import Governor
from tests.fakes import LevelRecognizer
from tests.streamer.harness import running, sentence


def word(text: str, second: float) -> SpokenWord:
    return SpokenWord(text, round(second * SAMPLE_RATE), round((second + 0.4) * SAMPLE_RATE))


def recording(*paces: tuple[float, float], audio: float = 3.0) -> Recording:
    """Record a stream that says "one two", with changes of pace at moments."""
    heard = [{"text": "one", "start": 0.5, "end": 0.9, "probability": 1.0}]
    arrivals = [
        *(Arrival(at, {"type": "pace", "interval": interval}) for at, interval in paces),
        Arrival(1.2, {"type": "commit", "id": 1, "utterance": 1, "text": "one", "words": heard, "lag": 0.25}),
        Arrival(2.5, {"type": "final", "utterance": 1, "text": "one", "start": 0.25, "end": 2.25, "lag": 0.5}),
        Arrival(4.0, {"type": "done", "audio": audio, "commits": 1}),
    ]
    speech = Speech(np.zeros(3 * SAMPLE_RATE, np.float32), (word("one", 0.5), word("two", 1.5)))
    return Recording(speech, sorted(arrivals, key=lambda arrival: arrival.at))


def test_a_client_is_summed_up_by_what_it_heard():
    outcome = sum_up(recording(), 0.4)

    assert (outcome.refused, outcome.failure) == ("", "")
    assert outcome.lags == (0.25, 0.5)
    assert outcome.speech == 2.0
    assert (outcome.delays.spoken, outcome.delays.missed) == (2, 1)
    assert outcome.delays.committed == [pytest.approx(0.3)]


def test_audio_that_was_not_decided_is_a_failure():
    assert "2.5 s of 3.0 s" in sum_up(recording(audio=2.5), 0.4).failure


def test_the_interval_is_averaged_over_the_time_it_held():
    assert announced(recording(), 0.4) == (pytest.approx(0.4), 0.4)
    assert announced(recording((1.0, 0.8), (3.0, 0.4)), 0.4) == (pytest.approx((0.4 + 2 * 0.8 + 0.4) / 4), 0.8)


def test_the_reason_is_found_however_deep_it_lies():
    refusal = ExceptionGroup("", [ExceptionGroup("", [RefusedError("overloaded", 1013)])])

    assert describe(refusal) == "overloaded 1013"
    assert describe(ExceptionGroup("", [RuntimeError("a gap")])) == "RuntimeError: a gap"


METRICS = {"streamer_batch_size_sum": 0.0, "streamer_batch_size_count": 0.0}
GROWN = {"streamer_batch_size_sum": 40.0, "streamer_batch_size_count": 10.0}
SERVED = Outcome(
    20.0, delays=Delays(committed=[0.5], spoken=10, missed=1), lags=(0.1, 0.3), speech=16.0, interval=0.4, widest=0.4
)
REFUSED = Outcome(20.0, refused="overloaded 1013", waited=0.04)


def test_a_level_counts_who_was_refused_and_why():
    level = level_of([SERVED, REFUSED, REFUSED, replace(REFUSED, refused="busy 1013")], METRICS, GROWN, 5.0)

    assert level.refusals == {"overloaded 1013": 2, "busy 1013": 1}
    assert (level.clients, level.accepted, level.failures) == (4, 1, [])


def test_a_level_is_that_of_the_streams_that_were_served():
    level = level_of([SERVED, replace(SERVED, widest=0.8, interval=0.6), REFUSED], METRICS, GROWN, 8.0)

    assert (level.lag_p50, level.lag_p95) == (0.1, 0.3)
    assert (level.interval, level.widest) == (pytest.approx(0.5), 0.8)
    assert level.updates == pytest.approx(40 / 32)
    assert level.mean_batch == 4.0
    assert level.cpu == pytest.approx(8.0 / 40)
    assert (level.missed, level.worst) == (0.1, 0.1)


def test_the_table_states_refusals_and_every_stream_that_was_lost(tmp_path):
    levels = [
        level_of([SERVED], METRICS, GROWN, 5.0),
        level_of([SERVED, REFUSED, Outcome(20.0, failure="ConnectionClosedError: 1006")], METRICS, GROWN, 5.0),
    ]
    table = describe_levels(levels, [], "the command", "demo", "a machine")

    assert "| 3 | 1 (overloaded 1013) | 0.04 s | 1 |" in table
    assert "- 3 clients: ConnectionClosedError: 1006" in table
    assert "None." not in table
    plot_load([1, 3], {"p50": [0.1, 0.2]}, [0.4, 0.8], [1, 2], tmp_path / "load.png")
    assert (tmp_path / "load.png").stat().st_size > 1000


def test_the_table_states_how_much_worse_accepted_streams_fare_at_twice_the_capacity():
    full = level_of([SERVED], METRICS, GROWN, 5.0)
    twice = level_of([replace(SERVED, lags=(0.1, 0.36)), REFUSED], METRICS, GROWN, 5.0)
    table = describe_levels([full], [full, twice], "the command", "demo", "a machine")

    assert "is 1.20 times that at capacity" in table
    assert "times that at capacity" not in describe_levels([full], [], "the command", "demo", "a machine")


QUIET = Speech(np.zeros(SAMPLE_RATE // 10, np.float32), ())
LOUD = Speech(sentence(1)[: SAMPLE_RATE // 2], ())
AT_ONCE = Task(1, 0.1, 0.0)


async def test_a_client_that_is_refused_says_so_and_one_that_is_served_is_summed_up(monkeypatch):
    async with running() as server:
        address = f"ws://127.0.0.1:{server.port}/v1/stream"
        served = await run_client(address, QUIET, AT_ONCE, 0.4, 0.0)
        monkeypatch.setattr(Governor, "has_room_for", lambda *_: False)
        refused = await run_client(address, QUIET, AT_ONCE, 0.4, 0.0)

    assert (served.refused, served.failure, served.audio) == ("", "", 0.1)
    assert (refused.refused, refused.failure) == ("overloaded 1013", "")
    assert 0 < refused.waited < 10


class Broken(LevelRecognizer):
    """Works as long as nobody needs it."""

    def transcribe(self, batch):
        if batch[0].stream == "warm-up":
            return super().transcribe(batch)
        raise RuntimeError("the device is gone")


async def test_a_client_whose_audio_becomes_a_gap_is_a_failure():
    async with running(recognizer=Broken()) as server:
        outcome = await run_client(f"ws://127.0.0.1:{server.port}/v1/stream", LOUD, AT_ONCE, 0.4, 0.0)

    assert "gap" in outcome.failure
