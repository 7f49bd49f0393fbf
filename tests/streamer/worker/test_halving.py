"""Batches that do not fit into memory."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from streamer.worker.halving import BATCHES_UNTIL_MORE, Halving
from tests.fakes import LevelRecognizer
from tests.streamer.worker.processes import request


class OutOfMemoryError(RuntimeError):
    """As torch's."""


class Cramped(LevelRecognizer):
    """Has memory for so many rows."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def transcribe(self, batch):
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise OutOfMemoryError("CUDA out of memory")
        return [None] * len(batch)


def test_after_a_batch_was_halved_the_next_ones_are_small_at_once_and_grow_again_later():
    recognizer = Cramped(3)
    halving = Halving(recognizer)
    batch = [request()] * 8
    assert halving.transcribe(batch) == [None] * 8
    assert recognizer.batches == [8, 4, 2, 2, 2, 2]

    recognizer.batches.clear()
    recognizer.room = 8
    for _ in range(BATCHES_UNTIL_MORE // 4):
        halving.transcribe(batch)

    assert recognizer.batches[:4] == [2, 2, 2, 2]
    assert recognizer.batches[-2:] == [4, 4]


def test_what_went_well_before_a_batch_was_halved_does_not_bring_larger_ones_back_sooner():
    recognizer = Cramped(2)
    halving = Halving(recognizer)
    for _ in range(BATCHES_UNTIL_MORE - 1):
        halving.transcribe([request()])
    recognizer.batches.clear()

    for _ in range(2):
        halving.transcribe([request()] * 4)
    assert recognizer.batches == [4, 2, 2, 2, 2]


def test_a_single_row_that_does_not_fit_is_an_error():
    with pytest.raises(OutOfMemoryError):
        Halving(Cramped(0)).transcribe([request()] * 4)


def test_a_recognizer_that_answers_too_few_is_an_error():
    class Mute(LevelRecognizer):
        def transcribe(self, batch):
            return []

    with pytest.raises(RuntimeError, match="answered 0 of 1"):
        Halving(Mute()).transcribe([request()])


def test_what_always_fits_is_asked_at_once_however_long_it_goes_on():
    recognizer = Cramped(8)
    halving = Halving(recognizer)
    for _ in range(2 * BATCHES_UNTIL_MORE):
        halving.transcribe([request()] * 8)

    assert recognizer.batches == [8] * 2 * BATCHES_UNTIL_MORE


def test_an_error_that_is_no_lack_of_memory_is_raised_at_once():
    class Clumsy(LevelRecognizer):
        def transcribe(self, batch):
            self.batches.append(len(batch))
            raise RuntimeError("shape mismatch")

    recognizer = Clumsy()
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Halving(recognizer).transcribe([request()] * 4)
    assert recognizer.batches == [4]


@pytest.mark.parametrize("initialized", [True, False])
def test_what_torch_has_cached_on_a_gpu_is_given_back_before_fewer_rows_are_tried(monkeypatch, initialized):
    recognizer = Cramped(2)
    given_back: list[int] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: initialized, empty_cache=lambda: given_back.append(len(recognizer.batches))
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    Halving(recognizer).transcribe([request()] * 4)

    assert recognizer.batches == [4, 2, 2]
    assert given_back == [1] * initialized, "to ask a device that is not in use would take it into use"
