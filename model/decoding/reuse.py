"""Encoding only what is new of a window that was heard before.

Theory of operation. Every update of a stream asks about the same audio as the one before, and a little more. Whisper's
encoder lets each position attend to all others, so strictly all of them change; what is a second away from what is new
hardly does. So an update computes the positions near the end of the audio (`parts.py`), and those attend to the keys
and values that the others had when they were last computed. What the decoder makes of a position, its own keys and
values of it, is kept with them.

Every sixteenth update of a window computes all of it, and so do its last decode, a window that was trimmed, and an
attempt after one that a guard objected to (`attempts.py`): nothing stays as it was for long, and a final text knows
nothing of all this.

An answer follows from its request alone all the same. `DecodeRequest.earlier` says where the updates before it ended; a
recognizer that has not heard them, because its process is new, hears them now, and comes to the same positions. Only
where there is no memory for another window is that one computed whole, each time. No window that is being heard is
dropped for another: both would be heard from their beginnings again and again.

It is a risk like a shorter context, and a smaller one: nothing is cut off, but no released weights were trained for it.
What it was measured to change is in docs/decisions.md ("positions that are not encoded again").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from model.decoding.parts import Part, Schedule
from model.decoding.window_features import Window, WindowFeatures
from model.layers.window_memory import AttentionMemory, Span, WindowMemory
from model.types import WINDOW_SAMPLES, DecodeRequest
from model.whisper import WhisperModel

STALE = 2000
"""Batches without a word of a window after which it may be dropped for another: half a minute at the least, and a
window that is being heard is asked about every few seconds."""


@dataclass(slots=True, eq=False)
class Known:
    """What is known of a window."""

    start: int
    ends: tuple[int, ...]
    """Where the updates ended that made it so."""
    memory: WindowMemory
    touched: int
    """Batch in which it was last asked about."""

    def leads_to(self, schedule: Schedule) -> bool:
        """Say whether going on from here is the same as hearing all those updates."""
        return schedule.start == self.start and schedule.ends[: len(self.ends)] == self.ends


@dataclass(slots=True, eq=False)
class Track:
    """A request on its way from what is known of its window to what is asked."""

    request: DecodeRequest
    schedule: Schedule
    done: int
    """Updates of the schedule that are heard or need not be."""
    memory: WindowMemory | None
    keeps: bool
    """Whether what is found is kept for the stream's next update."""
    computed: int = 0
    """Positions that were computed."""

    @property
    def pending(self) -> bool:
        """Whether an update is still to be heard."""
        return self.done < len(self.schedule.ends)

    @property
    def part(self) -> Part:
        """What the next update computes."""
        return self.schedule.part(self.done)


class EncoderReuse:
    """Encodes updates of windows that grow; keeps what is known of each window that is being heard."""

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
        computed in one pass; max_bytes: taken by all windows together.
        """
        self._encoder, self._decoder = network.encoder, network.decoder
        self._features = features
        self._frames = frames
        self._together = together
        self._max_bytes = max_bytes
        self._known: dict[str, Known] = {}
        """By stream, the one that was asked about last at the end."""
        self._batches = 0
        self._position_bytes = self._new_memory(1).bytes

    @property
    def bytes(self) -> int:
        """Memory that is taken."""
        return sum(map(self._size, self._known.values()))

    def forget(self, stream: str) -> None:
        """Drop what is kept of a stream."""
        self._known.pop(stream, None)

    def spares(self, request: DecodeRequest) -> bool:
        """Say whether positions of an update's window stay as they were."""
        part = Schedule.of(request, self._frames).part(len(request.earlier))
        return part.length < part.positions

    def plan(self, batch: Sequence[DecodeRequest]) -> list[Track | None]:
        """Find out from where on each request's updates are to be heard; None where there is no memory for that.

        Windows that are known come first, so that no other takes what they need to grow.
        """
        self._batches += 1
        schedules = [Schedule.of(request, self._frames) for request in batch]
        for request, schedule in zip(batch, schedules, strict=True):
            known = self._known.get(request.stream)
            if known is not None and known.leads_to(schedule):
                known.touched = self._batches
            else:
                self.forget(request.stream)
        tracks: list[Track | None] = [None] * len(batch)
        free = self._max_bytes - self.bytes
        streams: set[str] = set()
        for row in sorted(range(len(batch)), key=lambda row: batch[row].stream not in self._known):
            request, schedule = batch[row], schedules[row]
            known = None if request.stream in streams else self._known.get(request.stream)
            wanted = schedule.positions * self._position_bytes - self._size(known)
            free += self._drop_stale() if wanted > free else 0
            if wanted > free:
                free += self._size(known)
                self.forget(request.stream)
            elif known or request.earlier or len(request.audio) < WINDOW_SAMPLES:
                # A full window that is new is not asked about again: it moves on.
                free -= max(wanted, 0)
                tracks[row] = self._track(request, schedule, known, first=request.stream not in streams)
            streams.add(request.stream)
        return tracks

    def encode(self, tracks: Sequence[Track]) -> list[WindowMemory]:
        """Hear what is planned, all of it before the next plan; return what is then known of each request's window.

        It is overwritten by the stream's next update.
        """
        while pending := [track for track in tracks if track.pending]:
            for pack in self._packed(pending):
                for track in pack:  # a pass that fails half-way leaves nothing that is believed later
                    self.forget(track.request.stream)
                self._advance(pack)
                for track in pack:
                    self._keep(track)
        return [track.memory for track in tracks if track.memory is not None]

    def _track(self, request: DecodeRequest, schedule: Schedule, known: Known | None, *, first: bool) -> Track:
        keeps = first and len(request.audio) < WINDOW_SAMPLES
        if known is None:
            return Track(request, schedule, schedule.last_whole, None, keeps)
        return Track(request, schedule, len(known.ends), known.memory, keeps)

    def _drop_stale(self) -> int:
        """Drop the windows that nobody has asked about for long; return how many bytes that frees."""
        stale = [stream for stream, known in self._known.items() if self._batches - known.touched > STALE]
        return sum(self._size(self._known.pop(stream)) for stream in stale)

    def _size(self, known: Known | None) -> int:
        """Return the bytes of what is known of a window, if anything is."""
        return known.memory.positions * self._position_bytes if known else 0

    def _packed(self, tracks: Sequence[Track]) -> Iterator[list[Track]]:
        """Divide the next updates of some tracks into passes."""
        pack: list[Track] = []
        taken = 0
        for track in tracks:
            length = track.part.length
            if pack and taken + length > self._together:
                yield pack
                pack, taken = [], 0
            pack.append(track)
            taken += length
        yield pack

    def _advance(self, tracks: Sequence[Track]) -> None:
        """Hear the next update of each track in one pass."""
        spans = []
        for track, features in zip(tracks, self._hear(tracks), strict=True):
            part, memory = track.part, track.memory
            if memory is None or memory.positions < part.positions:
                memory = self._new_memory(part.positions)
                if track.memory is not None:
                    memory.copy_from(track.memory)
                track.memory = memory
            spans.append(Span(features, part.first, part.end, memory))
        self._encoder.renew(spans)
        self._decoder.hear(spans)
        for track, span in zip(tracks, spans, strict=True):
            track.done += 1
            track.computed += span.length

    def _hear(self, tracks: Sequence[Track]) -> list[Tensor]:
        """Return the log-mel of the next update's window of each track, (n_mels, frames)."""
        alike: defaultdict[int, list[Track]] = defaultdict(list)
        for track in tracks:
            alike[track.part.positions].append(track)
        found: dict[Track, Tensor] = {}
        for positions, some in alike.items():
            windows = [Window.of(track.request, track.schedule.ends[track.done]) for track in some]
            found |= zip(some, self._features(windows, 2 * positions), strict=True)
        return [found[track] for track in tracks]

    def _keep(self, track: Track) -> None:
        """Keep what is known of a window for its next update."""
        if track.keeps and track.memory is not None:
            ends = track.schedule.ends[: track.done]
            self._known[track.request.stream] = Known(track.schedule.start, ends, track.memory, self._batches)

    def _new_memory(self, positions: int) -> WindowMemory:
        """Return room for a window."""
        weight = self._encoder.embed_positions.weight
        own, cross = (
            AttentionMemory.of(network.attentions(), positions, weight) for network in (self._encoder, self._decoder)
        )
        return WindowMemory(own, cross, weight.new_empty(positions, weight.shape[1]))
