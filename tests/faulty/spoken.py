"""Speech in which every 100 ms say which they are, and whose.

A frame is 1,600 samples. Each eight samples of it are a mark, two digits of the speaker's key, four of the frame's
number and a check digit, as levels that 16-bit samples keep apart. So what a recognizer is given is known to the
sample: a frame that was cut, spliced or mixed is not read as a word. A word is `key.number`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from model.types import SAMPLE_RATE, DecodeRequest, Samples, Word
from tests.fakes import LevelRecognizer

FRAME = SAMPLE_RATE // 10
CODE = 8
BASE = 32
LOW = 0.2
STEP = 0.02
MARK = 0.95
MOST_KEYS, MOST_NUMBERS = BASE**2, BASE**4
PAUSE_FRAMES = 7
"""Of silence: enough to end an utterance."""
BREATH = 160
"""Samples at the end of a frame that count as the pause after its word."""


def frame(key: int, number: int) -> Samples:
    """Return (1600,) samples that say number `number` of speaker `key`."""
    if not 0 <= key < MOST_KEYS or not 0 <= number < MOST_NUMBERS:
        raise ValueError(f"key and number must be below {MOST_KEYS} and {MOST_NUMBERS}, got {key} and {number}")
    digits = [*in_digits(key, 2), *in_digits(number, 4)]
    levels = [MARK, *(LOW + STEP * digit for digit in (*digits, sum(digits) % BASE))]
    return np.tile(np.array(levels, dtype=np.float32), FRAME // CODE)


def in_digits(value: int, count: int) -> list[int]:
    """Return the digits of a value, the most significant first."""
    return [value // BASE**place % BASE for place in reversed(range(count))]


def read(audio: Samples) -> tuple[int, int] | None:
    """Return key and number of a whole frame, None for anything else."""
    codes = np.round((audio.reshape(-1, CODE) - LOW) / STEP).astype(int)
    if abs(audio[0] - MARK) > STEP / 2 or (codes != codes[0]).any():
        return None
    *digits, check = codes[0, 1:].tolist()
    if not all(0 <= digit < BASE for digit in digits) or sum(digits) % BASE != check:
        return None
    return from_digits(digits[:2]), from_digits(digits[2:])


def from_digits(digits: Iterable[int]) -> int:
    """Undo `in_digits`."""
    value = 0
    for digit in digits:
        value = value * BASE + digit
    return value


def utterances(key: int, lengths: Iterable[int], first: int = 0) -> Iterator[tuple[int | None, Samples]]:
    """Yield frames of utterances of so many words each, with silence around them: the number said, None for silence."""
    quiet = (None, np.zeros(FRAME, dtype=np.float32))
    number = first
    yield from [quiet] * PAUSE_FRAMES
    for length in lengths:
        for _ in range(length):
            yield number, frame(key, number)
            number += 1
        yield from [quiet] * PAUSE_FRAMES


class FrameRecognizer(LevelRecognizer):
    """Reads frames; a word that the end of the window cuts is guessed, another way each time."""

    def words(self, request: DecodeRequest) -> Iterator[Word]:
        """Read every word of the window, prefix included."""
        audio, start = request.audio, request.start
        first = -(-start // FRAME)
        whole = range(first * FRAME - start, len(audio) - FRAME + 1, FRAME)
        for at in whole:
            part = audio[at : at + FRAME]
            if not part.any():
                continue
            key, number = read(part) or (0, 0)
            text = f" {key}.{number}" if read(part) else " torn"
            yield Word(text, start + at, start + at + FRAME - BREATH, 0.9, (key * MOST_NUMBERS + number,))
        rest = audio[whole.start + len(whole) * FRAME :]
        if whole and rest.any():
            end = start + len(audio)
            yield Word(f" cut{len(rest)}", end - len(rest), end, 0.3, (len(rest),))


def keys_in(requests: Iterable[DecodeRequest]) -> set[int]:
    """Return whose speech is in some requests."""
    recognizer = FrameRecognizer()
    words = chain.from_iterable(recognizer.words(request) for request in requests)
    return {word.tokens[0] // MOST_NUMBERS for word in words if "." in word.text}
