"""What a resuming client has to send, and what of it comes next. Pure."""

from __future__ import annotations

from typing import TypeAlias

from clients.flushes import Flushes
from clients.ring import Ring
from streamer.protocols import messages

Piece: TypeAlias = bytes | messages.Flush | messages.Stop


class Outgoing:
    """Audio that is kept until it is decided, flushes where they were asked for, and the stop at the end.

    Each connection begins with a frame that the server names, and is given everything from there on.
    """

    def __init__(self, frame_bytes: int, capacity: int, piece: int) -> None:
        """Keep `capacity` frames at most, and send up to `piece` of them at once."""
        self.ring = Ring(frame_bytes, capacity)
        self.flushes = Flushes()
        self._frame_bytes = frame_bytes
        self._piece = piece
        self._rest_sent = False  # bytes of a frame that will never be complete
        self._heartbeat = False
        self.next = 0
        """The frame to send next."""
        self.stopping = False
        """No more audio comes."""
        self.stopped = False
        """Stop was sent over this connection, and so was everything before it."""

    def beat(self) -> None:
        """Send a sign of life, if there is nothing else to be sent."""
        self._heartbeat = True

    def flush(self, marker: str) -> None:
        """Ask for everything so far to be decided."""
        self.flushes.add(self.ring.end, marker)

    def stop(self) -> None:
        """End the stream."""
        self.stopping = True

    def begin_anew(self, frame: int) -> None:
        """Begin another connection with a frame."""
        self.next = min(frame, self.ring.end)
        self.flushes.begin_anew()
        self.stopped = self._rest_sent = False

    @property
    def has_overrun(self) -> bool:
        """Whether audio has left the ring before it was sent."""
        return self.next < self.ring.start

    @property
    def has_room(self) -> bool:
        """Whether there is place for a piece, and little that waits."""
        return self.ring.room >= self._piece and self.ring.end - self.next < 2 * self._piece

    def take(self, limit: int | None) -> Piece | None:
        """Return what is to be sent now, and count it as sent; None if nothing is.

        `limit` is the frame that audio may be sent up to. Raises IndexError if audio has left the ring unsent.
        """
        flush = self.flushes.frame
        if flush is not None and flush <= self.next:
            return messages.Flush(self.flushes.send())
        upto = min(frame for frame in (self.ring.end, flush, limit) if frame is not None)
        if upto > self.next:
            audio = self.ring.read(self.next, min(upto - self.next, self._piece))
            self.next += len(audio) // self._frame_bytes
            return audio
        return self._take_last()

    def _take_last(self) -> Piece | None:
        """Return what comes when there is no audio to be sent."""
        if self.stopped:
            return None
        if self.stopping and self.next == self.ring.end:
            if self.ring.rest and not self._rest_sent:
                self._rest_sent = True
                return self.ring.rest
            self.stopped = True
            return messages.Stop()
        if self._heartbeat:
            self._heartbeat = False
            return b""
        return None
