"""The daemon's own microphone as a connection sees a client: messages that come in, and nobody to tell anything.

Binary messages are sound, float32 at 16 kHz; text is what happens to the device, as JSON of the capture's own notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from streamer.capture.microphone import Capture, Captured
from streamer.connection.wire import Wire
from streamer.core.commands import Message

ENCODER = msgspec.json.Encoder()


class MicrophoneWire(Wire):
    """One microphone's captures as messages."""

    def __init__(self, captures: AsyncIterator[Capture], note: Callable[[Capture], None]) -> None:
        """`note` hears of each capture as it is taken."""
        self.gone = False
        self._captures = captures
        self._note = note

    async def receive(self) -> Message:
        """Wait for the next capture."""
        capture = await anext(self._captures)
        self._note(capture)
        return capture.samples.tobytes() if isinstance(capture, Captured) else ENCODER.encode(capture).decode()

    async def send(self, message: Message) -> None:
        """Do nothing: a microphone does not listen."""

    async def close(self, code: int, reason: str = "") -> None:
        """Note that nothing more is asked of it."""
        del code, reason
        self.gone = True
