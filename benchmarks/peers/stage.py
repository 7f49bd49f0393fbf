"""What surrounds WhisperLive's loop: a clock, an event and a socket that live in the stream's time.

Whenever the loop looks at the time, sleeps, waits or sends, the CPU seconds it has used since then pass on the
stream's clock, and the audio that has come meanwhile is handed over in packets of its own client's size. (The program
does that in another thread; its cost is not counted.) When the audio has ended, its client for files listens on until
nothing new has come for a while, then hangs up, and so do we.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.emission import Emission
from benchmarks.pairing import words_of
from benchmarks.peers.clock import StreamClock

PACKET = 4096
"""Samples of a message of its client (`TranscriptionTeeClient.chunk`)."""
PATIENCE = 15.0
"""Seconds without anything new after which its client hangs up (`Client.disconnect_if_no_response_for`)."""


class Stage:
    """Stands for the module `time`, for the event that tells of new audio, and for the client's socket."""

    def __init__(self, clock: StreamClock) -> None:
        self.client: Any = None
        """The server's object of this connection: takes audio in add_frames()."""
        self.heard = 0.0
        """Seconds of the stream up to which the present decoding has heard."""
        self.emissions: list[Emission] = []
        self._clock = clock
        self._committed: dict[str, Any] | None = None
        """The last segment that was sent as completed."""
        self._newest, self._news_at = "", 0.0

    def time(self) -> float:
        """Return the stream's time."""
        self._catch_up()
        return self._clock.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.charge()
        self._clock.now += seconds
        self._catch_up()

    def wait(self, timeout: float) -> bool:
        """Wait for the next packet, but not longer than this; say whether it came."""
        self._clock.charge()
        limit, packet = self._clock.now + timeout, self._clock.next_packet(PACKET)
        came = packet is not None and packet <= limit
        self._clock.now = max(self._clock.now, packet) if came and packet is not None else limit
        self._catch_up()
        return came

    def set(self) -> None:
        """Hear that there is new audio; waiting looks at the clock instead."""

    def clear(self) -> None:
        """Forget that there was new audio, likewise."""

    def send(self, message: str) -> None:
        """Take a message of the server: completed segments, each sent many times, and one that may still change."""
        segments = json.loads(message).get("segments")
        if segments is None:
            return
        self._catch_up()
        if segments[-1]["text"] != self._newest:
            self._newest, self._news_at = segments[-1]["text"], self._clock.now
        completed = [segment for segment in segments if segment["completed"]]
        known = completed.index(self._committed) + 1 if self._committed in completed else 0
        new = tuple(word for segment in completed[known:] for word in words_of(segment["text"]))
        shown = () if segments[-1]["completed"] else tuple(words_of(segments[-1]["text"]))
        if completed:
            self._committed = completed[-1]
        if new or not self.emissions or shown != self.emissions[-1].shown:
            self.emissions.append(self._clock.emit(new, shown=shown, heard=self.heard))
        self._clock.resume()

    def close(self) -> None:
        """Hear that the server hangs up."""

    def _catch_up(self) -> None:
        """Charge the work so far, hand over the audio that came meanwhile, and hang up when it is time."""
        self._clock.charge()
        while (packet := self._clock.packet(PACKET)) is not None:
            self.client.add_frames(packet)
        ended = self._clock.next_packet(PACKET) is None
        if ended and self._clock.now >= max(self._clock.end, self._news_at + PATIENCE):
            self.client.cleanup()
        self._clock.resume()
