"""The speech that benchmarks use is where it says it is."""

import shutil
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.speech import MONOLOGUE, PHRASES, RECORDINGS, Speech, speak, strangers
from model.types import SAMPLE_RATE

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir() and shutil.which("espeak-ng") is None,
    reason=f"neither recordings ({RECORDINGS}) nor espeak-ng are there",
)


@pytest.fixture(scope="module")
def phrases() -> Speech:
    return speak(20, seed=3)


def level(samples) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean()))


def test_words_are_loud_and_everything_between_them_is_quiet(phrases):
    edges = [0, *(edge for word in phrases.words for edge in (word.start, word.end)), len(phrases.samples)]
    quiet = [level(phrases.samples[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    loud = [level(phrases.samples[word.start : word.end]) for word in phrases.words]

    assert max(quiet) < 0.002
    assert min(loud) > 0.03


def test_the_same_seed_gives_the_same_speech(phrases):
    again, other = speak(20, seed=3), speak(20, seed=4)

    assert np.array_equal(again.samples, phrases.samples)
    assert again.words == phrases.words != other.words


def test_strangers_are_heard_with_all_their_takes_and_nobody_else():
    cast = strangers(["george", "nicolas"])

    assert (cast.speakers, len(cast.takes)) == (("george", "nicolas"), 50)
    assert not np.array_equal(speak(5, seed=3, cast=cast).samples, speak(5, seed=3).samples)
    with pytest.raises(ValueError, match=r"speakers must be some of george, .*, got jfk"):
        strangers(["george", "jfk"])


def test_phrases_pause_longer_than_the_hangover_and_monologues_do_not():
    def pauses(style):
        words = speak(60, seed=1, styles=(style,)).words
        return [(after.start - before.end) / SAMPLE_RATE for before, after in pairwise(words)]

    assert sum(pause > 0.5 for pause in pauses(PHRASES)) > 5
    assert sum(pause > 0.5 for pause in pauses(MONOLOGUE)) <= 1
