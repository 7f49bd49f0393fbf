"""What an update costs on a device where positions of the audio are used again, with all 30 s of context."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from benchmarks.engines_ours import UPDATE
from benchmarks.engines_work import mean_update
from benchmarks.gpu_measure import Bench, Update, Updates, request
from benchmarks.gpu_network import Shape
from model.decoding.encode import EncodedWindow, WindowEncoder
from model.decoding.parts import REFRESH
from model.types import SAMPLE_RATE, DecodeRequest
from model.whisper import WhisperForConditionalGeneration

PARTIAL = 4
"""Updates that are timed one after the other."""


class ReusedUpdates(Updates):
    """Makes updates of many streams at once, each of which was heard half a second ago."""

    def __init__(self, bench: Bench, shape: Shape, network: WhisperForConditionalGeneration) -> None:
        """Prepare one encoder and one decoder, which all figures share."""
        super().__init__(bench, shape, network)
        self._encoder = WindowEncoder(network.model.encoder, shape.mels, dynamic=False, reuse_for=network.model)

    def measure(self, rows: int, seconds: float, acceptance: float | None) -> Update:
        """Time updates of windows of so many seconds, the mean of sixteen, of which one computes all positions.

        Memory that the streams' windows take beyond what there is for them is not used: those are encoded whole.
        """
        ends = list(range(UPDATE, int(seconds * SAMPLE_RATE) + 1, UPDATE))
        final = [request(seconds, index) for index in range(rows)]
        whole = self._bench.time(lambda: self._begin(final, ends[:1]))
        part, windows = self._parts(final, ends)
        return self._decoded(windows, seconds, acceptance, mean_update(part, whole))

    def _begin(self, final: Sequence[DecodeRequest], ends: Sequence[int]) -> list[EncodedWindow]:
        """Encode windows of which nothing is known."""
        for one in final:
            self._encoder.forget(one.stream)
        return self._encoder.encode(_at(final, ends))

    def _parts(self, final: Sequence[DecodeRequest], ends: Sequence[int]) -> tuple[float, list[EncodedWindow]]:
        """Return the least seconds of an update of windows that are known, and what the last one has found."""
        least, windows = float("inf"), self._begin(final, ends)
        started, rounds = perf_counter(), 0
        while rounds < self._bench.rounds or perf_counter() - started < self._bench.seconds:
            self._begin(final, ends[: max(len(ends) - PARTIAL, 1)])
            for count in range(max(len(ends) - PARTIAL, 1) + 1, len(ends) + 1):
                self._bench.wait()
                before = perf_counter()
                windows = self._encoder.encode(_at(final, ends[:count]))
                self._bench.wait()
                if (count - 1) % REFRESH:
                    least = min(least, perf_counter() - before)
            rounds += 1
        return least, windows


def _at(final: Sequence[DecodeRequest], ends: Sequence[int]) -> list[DecodeRequest]:
    """Return what was asked of each window at the last of some ends."""
    return [
        DecodeRequest(one.stream, one.start, one.audio[: ends[-1]], earlier=tuple(ends[:-1]), language=one.language)
        for one in final
    ]
