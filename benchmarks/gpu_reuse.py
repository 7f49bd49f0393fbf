"""What an update costs on a device where positions of the audio are used again, with all 30 s of context."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from benchmarks.gpu_measure import TOKENS, Bench, Update, align, damaged, request
from benchmarks.gpu_network import HEAD, Shape, decoder_of
from model.decoding.encode import Encoded, EncodedWindow, WindowEncoder
from model.decoding.parts import REFRESH
from model.decoding.rows import DecodeRow
from model.types import HOP, SAMPLE_RATE, DecodeRequest
from model.whisper import WhisperForConditionalGeneration

UPDATE = SAMPLE_RATE // 2
"""Samples of new audio of an update."""
PARTIAL = 4
"""Updates that are timed one after the other."""


class ReusedUpdates:
    """Makes updates of many streams at once, each of which was heard half a second ago."""

    def __init__(self, bench: Bench, shape: Shape, network: WhisperForConditionalGeneration) -> None:
        """Prepare one encoder and one decoder, which all figures share."""
        self._bench = bench
        self._encoder = WindowEncoder(network.model.encoder, shape.mels, dynamic=False, reuse_for=network.model)
        self._decoder = decoder_of(shape, network)

    def measure(self, rows: int, seconds: float, acceptance: float) -> Update:
        """Time updates of windows of so many seconds, the mean of sixteen, of which one computes all positions.

        Memory that the streams' windows take beyond what there is for them is not used: those are encoded whole.
        """
        ends = list(range(UPDATE, int(seconds * SAMPLE_RATE) + 1, UPDATE))
        final = [request(seconds, index) for index in range(rows)]
        whole = self._bench.time(lambda: self._begin(final, ends[:1]))
        parts, windows = self._parts(final, ends)
        encoded, known = Encoded.of([window.audio for window in windows]), [window.known for window in windows]
        plain = [DecodeRow(HEAD, 0, limit=TOKENS)] * rows
        right = self._decoder.decode(encoded.audio, encoded.lengths, plain, 0.0, known)
        asked = [DecodeRow(HEAD, 0, draft=damaged(out.tokens, acceptance), limit=TOKENS) for out in right]
        found = self._decoder.decode(encoded.audio, encoded.lengths, asked, 0.0, known)
        end = int(seconds * SAMPLE_RATE) // (2 * HOP)
        return Update(
            (parts * (REFRESH - 1) + whole) / REFRESH,
            self._bench.time(lambda: self._decoder.decode(encoded.audio, encoded.lengths, asked, 0.0, known)),
            self._bench.time(lambda: align(found, end)),
            max(out.passes for out in found),
            sum(out.accepted for out in found) / max(sum(out.drafted for out in found), 1),
        )

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
