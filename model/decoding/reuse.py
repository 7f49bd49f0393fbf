"""Encoding only what is new of a window that was heard before.

Theory of operation. Every update of a stream asks about the same audio as the one before, and a little more. Whisper's
encoder lets each position attend to all others, so strictly all of them change; what is a second away from what is new
hardly does. So an update computes the positions near the end of the audio, and those attend to the keys and values that
the others had when they were last computed:

    |-------- kept --------|-- HALO --|-- new audio --|-- AFTER: silence --|-------- kept: silence --------|

Every REFRESH-th update of a window computes all of it, and so do its last decode, a window that was trimmed, and an
attempt after one that a guard objected to (`attempts.py`): nothing is kept of a kept position for long, and a final
text knows nothing of all this.

An answer follows from its request alone all the same. `DecodeRequest.earlier` says where the updates before it ended; a
recognizer that has not heard them, because its process is new, hears them now, and comes to the same positions. Only
where there is no memory for another window is that one computed whole, each time.

It is a risk like a shorter context, and a smaller one: nothing is cut off, but no released weights were trained for it.
What it was measured to change is in docs/decisions.md ("positions that are not encoded again").
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from model.decoding.window_features import Window, WindowFeatures
from model.layers.window_memory import AttentionMemory, Span, WindowMemory
from model.types import HOP, DecodeRequest
from model.whisper import WhisperModel

HALO = 50
"""Positions before new audio that are computed again, 1 s."""
AFTER = 64
"""Positions of silence after the audio that are computed again, as many as a dynamic context has at the least."""
REFRESH = 16
"""Updates of a window of which one computes all positions."""
HOP_OF_POSITION = 2 * HOP
"""Samples of an encoder position: 20 ms."""
SHARE, GPU_SHARE = 8, 4
"""What may be kept: one part in so many of all memory, or of what is free of a GPU's once the network is there. A
window of 12 s takes 5 MB with the demo model and 33 with base in float32, one of 30 s takes 77 with base and 280 with
large-v3-turbo in 16 bits."""


def room_on(device: torch.device) -> int:
    """Return how many bytes may be kept on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) // GPU_SHARE
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // SHARE


class Part(NamedTuple):
    """Which positions one update computes."""

    first: int
    end: int
    positions: int
    """Of the whole window."""

    @property
    def whole(self) -> bool:
        """Whether that is all of them."""
        return self.first == 0 and self.end == self.positions


@dataclass(slots=True, eq=False)
class Known:
    """What is known of a window."""

    start: int
    ends: tuple[int, ...]
    """Where the updates ended that made it so."""
    memory: WindowMemory

    def leads_to(self, start: int, ends: tuple[int, ...]) -> bool:
        """Say whether going on from here is the same as hearing those updates from the first one on."""
        return start == self.start and ends[: len(self.ends)] == self.ends


@dataclass(slots=True, eq=False)
class Track:
    """A request on its way from what is known of its window to what is asked."""

    request: DecodeRequest
    ends: tuple[int, ...]
    done: int
    """Updates, of `ends`, that are heard or need not be."""
    memory: WindowMemory | None
    computed: int = 0
    """Positions that were computed."""


class EncoderReuse:
    """Encodes updates of windows that grow; keeps keys and values of each window that is being heard."""

    def __init__(
        self,
        network: WhisperModel,
        features: WindowFeatures,
        frames: Callable[[int], int],
        together: int,
        max_bytes: int,
    ) -> None:
        """Keep nothing yet.

        network: encoder, and the decoder that hears it; frames: context for so many samples; together: positions
        computed in one pass; max_bytes: kept in all.
        """
        self._encoder, self._decoder = network.encoder, network.decoder
        self._features = features
        self._frames = frames
        self._together = together
        self._max_bytes = max_bytes
        self._known: dict[str, Known] = {}
        self._position_bytes = self._new_memory(1).bytes

    @property
    def bytes(self) -> int:
        """Memory that is taken."""
        return sum(known.memory.bytes for known in self._known.values())

    def forget(self, stream: str) -> None:
        """Drop what is kept of a stream."""
        self._known.pop(stream, None)

    def spares(self, request: DecodeRequest) -> bool:
        """Say whether positions of an update's window stay as they were."""
        ends = (*request.earlier, request.end)
        return not self._part(request.start, ends, len(ends) - 1).whole

    def encode(self, batch: Sequence[DecodeRequest]) -> list[tuple[WindowMemory, int]]:
        """Return what is known of each update's window, and how many positions were computed.

        It is overwritten by the stream's next update.
        """
        tracks = [self._track(request) for request in batch]
        while pending := [track for track in tracks if track.done < len(track.ends)]:
            for spans in self._packed([self._advance(track) for track in pending]):
                self._encoder.renew(spans)
                self._decoder.hear(spans)
        return [self._finish(track) for track in tracks]

    def _track(self, request: DecodeRequest) -> Track:
        """Find out from where on a request's updates are to be heard."""
        ends = (*request.earlier, request.end)
        # Taken out while it is changed: a pass that fails half-way leaves nothing that is believed later.
        known = self._known.pop(request.stream, None)
        if known is not None and known.leads_to(request.start, ends):
            return Track(request, ends, len(known.ends), known.memory)
        last = len(ends) - 1
        if not self._has_room(request):
            return Track(request, (request.end,), 0, None)
        return Track(request, ends, last - last % REFRESH, None)

    def _has_room(self, request: DecodeRequest) -> bool:
        """Say whether another window may be kept."""
        positions = self._frames(len(request.audio)) // 2
        return self.bytes + positions * self._position_bytes <= self._max_bytes

    def _advance(self, track: Track) -> Span:
        """Return the positions of the next update that is to be heard, and count it as heard."""
        part = self._part(track.request.start, track.ends, track.done)
        window = Window.of(track.request, track.ends[track.done])
        memory = track.memory
        if memory is None or memory.positions < part.positions:
            memory = self._new_memory(part.positions)
            if track.memory is not None:
                memory.copy_from(track.memory)
            track.memory = memory
        track.done += 1
        track.computed += part.end - part.first
        features = self._features([window], 2 * part.positions)
        return Span(features[0], part.first, part.end, memory)

    def _part(self, start: int, ends: tuple[int, ...], index: int) -> Part:
        """Return what update `index` of those computes."""
        samples = ends[index] - start
        positions = self._frames(samples) // 2
        if index % REFRESH == 0:
            return Part(0, positions, positions)
        before = ends[index - 1] - start
        grown = positions > self._frames(before) // 2
        end = positions if grown else min(positions, -(-samples // HOP_OF_POSITION) + AFTER)
        return Part(max(before // HOP_OF_POSITION - HALO, 0), end, positions)

    def _packed(self, spans: Sequence[Span]) -> Iterator[list[Span]]:
        """Divide spans into passes."""
        pack: list[Span] = []
        for span in spans:
            if pack and sum(other.length for other in pack) + span.length > self._together:
                yield pack
                pack = []
            pack.append(span)
        yield pack

    def _finish(self, track: Track) -> tuple[WindowMemory, int]:
        """Keep what is known of a window, if there is room for it."""
        assert track.memory is not None, "every update is heard"
        request = track.request
        if len(track.ends) == len(request.earlier) + 1 and self.bytes + track.memory.bytes <= self._max_bytes:
            self._known[request.stream] = Known(request.start, track.ends, track.memory)
        return track.memory, track.computed

    def _new_memory(self, positions: int) -> WindowMemory:
        """Return room for a window."""
        weight = self._encoder.embed_positions.weight
        own, cross = (
            AttentionMemory.of(network.attentions(), positions, weight) for network in (self._encoder, self._decoder)
        )
        return WindowMemory(own, cross, weight.new_empty(positions, weight.shape[1]))
