from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from model.transcribe import Passage, settle, transcribe
from model.types import (
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    DecodeRequest,
    DecodeStatistics,
    Hypothesis,
    ModelCard,
    Samples,
    Segment,
    Word,
)

BEEP = SAMPLE_RATE // 4


class BeepReader:
    """Hears one word in each beep of a quarter of a second and knows its number by its loudness.

    A beep cut by the window is misheard; words closer than half a second share a segment.
    """

    card = ModelCard("beeps", ("en",), "cpu", "float32", "full")

    def __init__(self) -> None:
        self.requests: list[DecodeRequest] = []
        self.forgotten: list[str] = []
        self.fallbacks = 0

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.requests += batch
        return [self._answer(request) for request in batch]

    def forget(self, stream: str) -> None:
        self.forgotten.append(stream)

    def _answer(self, request: DecodeRequest) -> Hypothesis:
        loud = np.flatnonzero(np.diff(np.concatenate([[0], request.audio > 0.05, [0]]).astype(int)))
        words = []
        for first, end in loud.reshape(-1, 2).tolist():
            number = round(float(request.audio[first]) * 1000)
            text = f" {number}" if end - first == BEEP else " cut"
            words.append(Word(text, request.start + first, request.start + end, 0.9, (number,)))
        segments: list[Segment] = []
        for word in words:
            if segments and segments[-1].words[-1].end + SAMPLE_RATE // 2 > word.start:
                segments[-1] = Segment(segments[-1].start, word.end, (*segments[-1].words, word))
            else:
                segments.append(Segment(word.start, word.end, (word,)))
        if segments and request.end - segments[-1].end < SAMPLE_RATE // 2:
            segments[-1] = Segment(segments[-1].start, None, segments[-1].words)
        statistics = DecodeStatistics(fallbacks=self.fallbacks)
        return Hypothesis(request.start, request.end, tuple(segments), "en", final=True, statistics=statistics)


def beeps(places: Sequence[float], seconds: float) -> Samples:
    """A recording with beeps at these seconds; the first one says 101."""
    audio = np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32)
    for number, place in enumerate(places, start=101):
        start = int(place * SAMPLE_RATE)
        audio[start : start + BEEP] = number / 1000
    return audio


def pieces(audio: Samples, size: int = 12345):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def said(passages: Sequence[Passage]) -> list[str]:
    return [word.text.strip() for p in passages for segment in p.segments for word in segment.words]


SCENES = {
    "short": ([0.5, 1.0], 3.0),
    "pauses": ([2, 2.3, 9, 9.3, 20, 20.3, 28, 28.3, 35, 50], 60.0),
    "no pause at all": ([i * 0.4 for i in range(240)], 97.0),
    "a word on the border of a window": ([29.9], 40.0),
    "a word at the very end": ([1.0, 44.75], 45.0),
    "minutes of silence": ([1.0, 400.0], 500.0),
}


@pytest.mark.parametrize("scene", SCENES)
def test_every_word_comes_once_at_its_time_whatever_the_windows(scene):
    places, seconds = SCENES[scene]
    passages = list(transcribe(BeepReader(), pieces(beeps(places, seconds))))
    assert said(passages) == [str(101 + i) for i in range(len(places))]
    starts = [word.start / SAMPLE_RATE for p in passages for segment in p.segments for word in segment.words]
    assert starts == pytest.approx(places, abs=1e-3)
    assert passages[-1].end == int(seconds * SAMPLE_RATE)
    assert all(a.end < b.end for a, b in pairwise(passages))
    assert all(segment.end is not None for p in passages for segment in p.segments)


def test_the_size_of_the_pieces_changes_nothing():
    audio = beeps(*SCENES["pauses"])
    whole = list(transcribe(BeepReader(), [audio]))
    assert list(transcribe(BeepReader(), pieces(audio, 777))) == whole
    assert list(transcribe(BeepReader(), [audio[:0], audio, audio[:0]])) == whole


def test_a_recording_is_read_as_it_is_needed():
    read = 0

    def blocks():
        nonlocal read
        for block in pieces(beeps([i * 0.7 for i in range(400)], 300.0), SAMPLE_RATE):
            read += len(block)
            yield block

    passages = transcribe(BeepReader(), blocks())
    next(passages)
    assert read <= WINDOW_SAMPLES + 2 * SAMPLE_RATE


def test_silence_is_passed_over_without_the_recognizer():
    reader = BeepReader()
    passages = list(transcribe(reader, [np.zeros(100 * SAMPLE_RATE, dtype=np.float32)]))
    assert reader.requests == []
    assert said(passages) == []
    assert passages[-1].end == 100 * SAMPLE_RATE


def test_nothing_comes_of_nothing():
    assert list(transcribe(BeepReader(), [])) == []


def test_each_window_is_told_what_was_said_before_it():
    reader = BeepReader()
    list(transcribe(reader, pieces(beeps([i * 0.7 for i in range(400)], 300.0)), context="Beeps"))
    assert reader.requests[0].prompt == ()
    for request in reader.requests[1:]:
        assert 0 < len(request.prompt) <= 223
        assert request.context == "Beeps"
        before = [101 + i for i in range(400) if (i * 0.7 + 0.25) * SAMPLE_RATE <= request.start + 1]
        assert list(request.prompt) == before[-len(request.prompt) :]


def test_a_doubtful_window_does_not_lead_the_next():
    reader = BeepReader()
    reader.fallbacks = 4
    list(transcribe(reader, pieces(beeps([i * 0.7 for i in range(100)], 75.0))))
    assert [request.prompt for request in reader.requests] == [()] * len(reader.requests)


def test_the_language_of_the_first_words_is_that_of_the_recording():
    reader = BeepReader()
    passages = list(transcribe(reader, pieces(beeps([40.0, 50.0, 70.0], 90.0))))
    assert passages[0].language is None
    assert passages[-1].language == "en"
    asked = [request.language for request in reader.requests]
    assert asked[0] is None
    assert asked[-1] == "en"


def test_the_stream_is_forgotten_even_if_nobody_listens_to_the_end():
    reader = BeepReader()
    passages = transcribe(reader, pieces(beeps([i * 0.7 for i in range(100)], 75.0)), stream="tape")
    next(passages)
    passages.close()
    assert reader.forgotten == ["tape"]


@pytest.mark.parametrize("block", [np.zeros((2, 5), dtype=np.float32), np.zeros(5)])
def test_blocks_of_another_shape_or_type_are_refused(block):
    with pytest.raises(ValueError, match="audio must be"):
        list(transcribe(BeepReader(), [block]))


@pytest.mark.parametrize("end", [None, 0, 100, SAMPLE_RATE])
def test_a_window_always_moves_on(end):
    """Even if its only segment ends where it begins."""
    word = Word(" a", 0, 20, 0.5, (1,))
    hypothesis = Hypothesis(0, WINDOW_SAMPLES, (Segment(0, end, (word,)), Segment(end or 0, None, (word,))), "en")
    _, place = settle(hypothesis, ended=False)
    assert SAMPLE_RATE <= place <= WINDOW_SAMPLES
