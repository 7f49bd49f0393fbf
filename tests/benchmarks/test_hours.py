"""Lost and doubled words are counted over all seeds, and each is named."""

from dataclasses import replace

from benchmarks.conditions import CONTINUOUS, PAUSED
from benchmarks.heat import Result
from benchmarks.hours import Mishap, describe, mishaps, policies
from benchmarks.streaming_table import entries
from tests.benchmarks.test_streaming_table import Someone, outcome


def results() -> list[Result]:
    ours = Someone("ours")
    first = replace(outcome(CONTINUOUS, 20.0, 0.5), lost=("one at 3.2 s",))
    second = outcome(PAUSED, None, 0.5)
    second = replace(second, condition=replace(second.condition, seed=7), doubled=("four at 9.0 s", "two at 9.9 s"))
    return [Result(ours, "ours", "as we like it", some) for some in (first, second)]


def test_every_lost_or_doubled_word_is_named_with_its_stream():
    assert list(mishaps(entries(results()))) == [
        Mishap("ours", "lost", "one at 3.2 s", "continuous, 20 dB", 1),
        Mishap("ours", "doubled", "four at 9.0 s", "phrases, clean", 7),
        Mishap("ours", "doubled", "two at 9.9 s", "phrases, clean", 7),
    ]


def test_the_table_counts_words_not_words_an_hour():
    table = describe("command", "somewhere", entries(results()))

    assert "| ours | 0.0 | 3.0% (6/200) | -25.0% | 0 | 1 | 2 | 0.60, 0.60 | 0.60, 0.60 |" in table
    assert "- ours: doubled four at 9.0 s of phrases, clean (stream seed 7)." in table


def test_where_nothing_was_lost_the_report_says_so():
    whole = [replace(one, outcome=outcome(CONTINUOUS, None, 0.5)) for one in results()[:1]]

    assert "No word was lost or doubled." in describe("command", "somewhere", entries(whole))


def test_our_defaults_and_both_policies_at_the_same_interval_are_heard():
    assert [one.name for one in policies("demo")] == [
        "streamer, attention, 0.4 s",
        "streamer, agreement, 0.35 s",
        "streamer, attention, 0.35 s",
    ]
