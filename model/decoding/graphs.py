"""The decode step as recorded CUDA graphs: one launch a step instead of hundreds.

Theory of operation. A step of a four-layer decoder is some hundred kernels of a few microseconds each; launched from
Python one by one they take many times as long to launch as to run. A graph is launched at once. It has shapes and
addresses in it, so there is one for each (batch, context) bucket, and all of them work on caches at fixed addresses
(`arena.py`). A graph is captured when its shape first comes, after the step has run on the same stream a few times
(what libraries set up at first use cannot be captured). Graphs share one memory pool: they are never replayed at the
same time, and nothing of a replay is read from that pool, only from the arena. The least recently used graph goes when
there are too many.

What cannot be had by a graph is done without, and counted with its reason.

Source: PyTorch documentation, CUDA semantics, "CUDA Graphs".
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from model.decoding.arena import BATCHES, CELLS, CacheArena, Dimensions, Shape, batch_bucket
from model.decoding.rows import Row
from model.decoding.step import DecodeStep, StepPlace
from model.decoding.step_counters import Reason, StepCounters
from model.decoding.tail import Step
from model.layers.cache import DecoderCache
from model.layers.decoder import WhisperDecoder
from model.layers.window_memory import AttentionMemory
from model.rules import LogitRules

logger = logging.getLogger(__name__)

MOST_GRAPHS = 64
PREPARED_ROWS = 32
"""Rows of the largest graph that is captured before the first stream comes."""
WARM_UPS = 3
"""Times a step runs before it is captured."""
Replay: TypeAlias = Callable[[], None]
Capture: TypeAlias = Callable[[DecodeStep], Replay]
"""Makes of a step what does the same at once."""


@dataclass(frozen=True, slots=True)
class Stepping:
    """How steps of one token are made."""

    capture: Capture | None = None
    """What makes a graph of a step; None: launch it operation by operation."""
    lookahead: int = 0
    """Steps launched before the one before them is read."""
    budget: int | None = None
    """Bytes of the arena; None for a share of the GPU's memory."""
    most: int = MOST_GRAPHS
    """Graphs that are kept."""

    @classmethod
    def on(cls, device: torch.device) -> Stepping | None:
        """Return what is best on a device; None for passes by the host, which a CPU makes at least as fast."""
        return cls(GraphCapture(device), lookahead=1) if device.type == "cuda" else None


class StepSource:
    """Opens caches and has the steps that work on them. Without a capture, all steps are plain."""

    def __init__(
        self,
        decoder: WhisperDecoder,
        head: Callable[[Tensor], Tensor],
        rules: LogitRules,
        heads: Sequence[tuple[int, int]],
        stepping: Stepping,
    ) -> None:
        """head: hidden states (n, d_model) to float32 logits; heads: alignment heads, (layer, head) pairs."""
        self._decoder = decoder
        self._head = head
        self._rules = rules
        self._heads = tuple(heads)
        self._capture = stepping.capture
        self._most = stepping.most
        self.lookahead = stepping.lookahead
        self._dimensions = Dimensions.of(decoder, len(self._heads))
        self._arena = CacheArena(decoder, self._dimensions, stepping.budget) if stepping.capture else None
        self._graphs: OrderedDict[Shape, CountedStep] = OrderedDict()
        self._shape: Shape | None = None
        """Of the cache that is in the arena, with the rows it was opened with."""
        self._reason = Reason.DEVICE
        self.counters = StepCounters()

    def open(
        self, audio: Tensor, lengths: Tensor | None, cells: int, known: Sequence[AttentionMemory | None] = ()
    ) -> DecoderCache:
        """Return an empty cache as `WhisperDecoder.new_cache` does, in the arena if it fits; the one before is lost."""
        self._shape = self._fitting(audio, lengths, cells)
        if self._shape is None or self._arena is None:
            return self._decoder.new_cache(audio, lengths, cells, known)
        if not self._arena.holds(self._shape):  # what graphs know by its address moves, and they would keep the old
            self.counters.evictions += len(self._graphs)
            self._graphs.clear()
        return self._arena.open(audio, lengths, self._shape, known)

    def step(self, cache: DecoderCache) -> Step:
        """Return the step for a cache, which must be the one opened last."""
        if self._shape is None or self._arena is None:
            return self._plain(StepPlace.make(cache, len(self._heads)), self._reason)
        shape = self._shape._replace(batch=batch_bucket(len(cache.cross_lengths)))
        graph = self._graphs.pop(shape, None) or self._captured(shape)
        if graph is None:
            return self._plain(self._arena.place(shape), Reason.CAPTURE)
        self._graphs[shape] = graph
        while len(self._graphs) > self._most:
            self._graphs.popitem(last=False)
            self.counters.evictions += 1
        return graph

    def prepare(self, positions: int) -> None:
        """Capture the graphs of batches that hear so many positions each, so that no stream has to wait for it.

        Where memory does not suffice for the largest, those that it suffices for.
        """
        d, sizes = self._dimensions, list(BATCHES[: BATCHES.index(PREPARED_ROWS) + 1])
        audio = torch.zeros((PREPARED_ROWS, positions, d.heads * d.head_dim), dtype=d.dtype, device=d.device)
        for cells in (d.cells, *(size for size in reversed(CELLS) if size < d.cells)):
            while able := [rows for rows in sizes if self._fitting(audio[:rows], None, cells)]:
                if self._prepared(audio, able, cells):
                    break
                sizes = able[:-1]
                torch.cuda.empty_cache()

    def _prepared(self, audio: Tensor, able: Sequence[int], cells: int) -> bool:
        """Capture the graphs of so many rows each, if there is memory for them; say whether there was."""
        try:
            cache = self.open(audio[: able[-1]], None, cells)
            for rows in reversed(able):
                cache.keep(list(range(rows)))
                self.step(cache)
        except torch.OutOfMemoryError:
            return False
        return True

    def closes_ranks(self, rows: int, live: int) -> bool:
        """Whether so few rows of a step are not done that they should go on as a smaller batch."""
        if self._shape is None:
            return live <= rows // 2
        return batch_bucket(live) < batch_bucket(rows)

    def _fitting(self, audio: Tensor, lengths: Tensor | None, cells: int) -> Shape | None:
        """Return the shape for a cache, or None, with the reason noted, if it must do without graphs."""
        self._reason = Reason.DEVICE
        if self._arena is None:
            return None
        rows, positions = audio.shape[:2]
        if rows > BATCHES[-1]:
            self._reason = Reason.BATCH
            return None
        shape = self._dimensions.shape(rows, positions, cells, ragged=lengths is not None)
        if not self._arena.fits(shape):
            self._reason = Reason.MEMORY
            return None
        return shape

    def _captured(self, shape: Shape) -> CountedStep | None:
        """Capture the step of a shape; None if that cannot be done."""
        if self._capture is None or self._arena is None:
            return None
        step = self._step(self._arena.place(shape))
        step.load(())  # what runs while capturing must not write where rows have been
        try:
            replay = self._capture(step)
        except torch.OutOfMemoryError:
            raise  # there will be some for fewer rows, or another time
        except RuntimeError:
            # Slow is better than none. An error that the device does not survive comes again with the next launch.
            logger.exception("the decode step cannot be captured as a graph, decoding goes on without")
            self._capture = None
            return None
        self.counters.captures += 1
        return CountedStep(step, replay, self.counters)

    def _plain(self, place: StepPlace, reason: Reason) -> Step:
        step = self._step(place)
        return CountedStep(step, step, self.counters, reason)

    def _step(self, place: StepPlace) -> DecodeStep:
        return DecodeStep(self._decoder, self._head, self._rules, self._heads, place)


class CountedStep:
    """A step, advanced by a graph or operation by operation, and counted."""

    def __init__(
        self, step: DecodeStep, advance: Callable[[], None], counters: StepCounters, reason: Reason | None = None
    ) -> None:
        """advance: a replay of what was captured of `step`, or `step` itself; reason: why there is no graph."""
        self._step = step
        self._advance = advance
        self._counters = counters
        self._reason = reason

    @property
    def place(self) -> StepPlace:
        """Where it reads and writes."""
        return self._step.place

    def load(self, rows: Sequence[Row]) -> None:
        """Put rows into the first places."""
        self._step.load(rows)

    def __call__(self) -> None:
        """Advance every row by one token."""
        self._advance()
        if self._reason is None:
            self._counters.replays += 1
        else:
            self._counters.eager[self._reason] += 1


class GraphCapture:
    """Captures steps on one CUDA device; all graphs share its stream and its memory pool."""

    def __init__(self, device: torch.device) -> None:
        """device: of the network."""
        self._device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch does not say
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: DecodeStep) -> Replay:
        """Run the step a few times, then record it; what it is loaded with is lost."""
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UPS):
                    step()
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            try:
                # Of other threads only those that allocate would disturb a capture; none of them uses this device.
                with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                    step()
            finally:
                torch.cuda.set_stream(current)  # which torch leaves behind if what was recorded is of no use
        return graph.replay
