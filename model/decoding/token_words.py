"""Words with times and probabilities from the segments that `generate` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

from model.audio.loudness import Loudness
from model.decoding.timing import WordTimer
from model.types import SAMPLE_RATE, Samples, Segment, Word
from model.vocabulary import Vocabulary


class WordReader:
    """Reads segments with one checkpoint's vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def segments(self, found: Sequence[Mapping[str, Any]], audio: Samples, language: str) -> tuple[Segment, ...]:
        """Return the segments of one recording, those without text left out; times in samples.

        found: as `generate` returns them with return_segments and return_token_timestamps; audio: the recording.
        """
        sound = Loudness(0, audio)
        segments, now = [], 0
        for one in found:
            words = self._words(one, sound, language, now, len(audio))
            if words:
                now = words[-1].end
                start = min(_samples(one["start"]), words[0].start)
                segments.append(Segment(start, max(now, min(_samples(one["end"]), len(audio))), words))
        return tuple(segments)

    def _words(self, one: Mapping[str, Any], sound: Loudness, language: str, now: int, end: int) -> tuple[Word, ...]:
        """Return the words of one segment, in order, between `now` and `end`."""
        tokens = one["tokens"].tolist()
        opened, closed = _samples(one["start"]), _samples(one["end"])
        # A token's time is where it ends, for the reference labels the step that has read it.
        starts = [opened, *map(_samples, one["token_timestamps"])]
        timer = WordTimer(starts, now, end, sound)
        chances = one.get("token_log_probabilities")
        places = [place for place, token in enumerate(tokens) if token < self._vocabulary.eot]
        words, done = [], 0
        for text, of_word in self._vocabulary.split_words([tokens[place] for place in places], language=language):
            first, after = places[done], places[done + len(of_word) - 1] + 1
            start, stop = timer.place(
                first,
                after,
                opened=opened if done == 0 else None,
                closed=closed if done + len(of_word) == len(places) else None,
            )
            chance = 1.0 if chances is None else exp(float(chances[first:after].mean()))
            words.append(Word(text, start, stop, min(chance, 1.0), tuple(of_word)))
            done += len(of_word)
        return tuple(words)


def _samples(seconds: Any) -> int:
    """Return a time as a sample index."""
    return round(float(seconds) * SAMPLE_RATE)
