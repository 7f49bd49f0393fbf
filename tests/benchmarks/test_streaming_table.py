"""The report says what was measured, and what was not and why."""

import json
from dataclasses import dataclass, replace

from benchmarks.conditions import CONTINUOUS, PAUSED, Condition
from benchmarks.heat import Result
from benchmarks.outcome import Block, Delay, Outcome
from benchmarks.speech import RECORDINGS, strangers
from benchmarks.streaming_table import describe, entries, raw


@dataclass(frozen=True)
class Someone:
    name: str
    share: float = 1.0

    def build(self, work):
        raise AssertionError("nobody is built here")


def outcome(style: str, snr: float | None, delay: float) -> Outcome:
    delays = (Delay(delay + 0.1, delay),)
    block = Block(100, 3, 4)
    return Outcome(
        condition=Condition(style, snr, 60.0, 1),
        seconds=60.0,
        blocks=(block,),
        against_offline=2,
        offline_words=100,
        committed=delays,
        shown=delays,
        final=(),
        words=100,
        rewrites=0,
        erased=5,
        lost=(),
        dropped=(),
        doubled=(),
        lateness=0.2,
        busy=6.0,
        updates=120,
        passes=None,
    )


def results() -> list[Result]:
    ours, theirs = Someone("ours"), Someone("theirs")
    return [
        Result(ours, "ours", "as we like it", outcome(CONTINUOUS, None, 0.5)),
        Result(theirs, "theirs", "as they like it", outcome(CONTINUOUS, None, 1.5)),
        Result(ours, "ours", "as we like it", outcome(PAUSED, 10.0, 0.7)),
        Result(theirs, "theirs", "its code is not here", None),
    ]


def test_streams_of_one_system_make_one_row_in_the_order_of_their_coming():
    ours, theirs = entries(results())

    assert (ours.name, ours.all.minutes, ours.all.spoken) == ("ours", 2, 200)
    assert ours.continuous.committed.unaware == (0.5, 0.5, 0.5)
    assert [some and some.spoken for some in ours.noise] == [100, None, 100]
    assert ours.point == (0.6, ours.all.error_rate)
    assert theirs.name == "theirs"


def test_a_system_that_failed_on_one_stream_is_not_measured_and_the_report_says_why():
    found = entries(results())

    assert found[1].all is None
    assert found[1].point is None
    report = describe("make it so", "demo", "a machine", found)
    assert "- theirs: its code is not here." in report
    assert "| theirs |" not in report


def test_the_report_says_who_spoke_and_that_they_were_left_out():
    report = describe("make it so", "/models/fold", "a machine", entries(results()[:1]), cast=strangers(["george"]))

    assert "Weights: fold," in report
    if RECORDINGS.is_dir():
        assert "all 50 takes of george of the Free Spoken Digit Dataset (left out when these weights were" in report


def test_every_row_has_as_many_cells_as_its_table():
    report = describe("make it so", "demo", "a machine", entries(results()[:1]) + entries(results()[2:3]))
    width = 0
    for line in report.splitlines():
        cells = line.count("|")
        assert not cells or not width or cells == width, line
        width = cells


def test_the_raw_figures_can_be_written_as_json_and_have_each_lost_word():
    one = replace(outcome(CONTINUOUS, None, 0.5), lost=("two at 1.0 s",))
    (entry,) = entries([Result(Someone("ours"), "ours", "", one)])
    written = json.loads(json.dumps(raw(entry), allow_nan=False))

    assert written["streams"][0]["lost"] == ["two at 1.0 s"]
    assert written["all"]["passes"] is None
    assert written["all"]["final"] is None
