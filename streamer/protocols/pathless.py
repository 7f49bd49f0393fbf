"""Clients that know a host and a port and no path: Vosk's or WhisperLive's, told apart by their first message."""

from __future__ import annotations

from collections.abc import Iterator

from model.types import Samples
from streamer.core.commands import Close, Codec, Command, Configure, Message, ProtocolError
from streamer.core.events import Event
from streamer.protocols.frames import read_frame
from streamer.protocols.handshake import Handshake, House
from streamer.protocols.vosk import VoskCodec
from streamer.protocols.whisperlive import WhisperLiveCodec


class PathlessCodec:
    """Vosk's protocol, unless the first message is the options of a WhisperLive client."""

    def __init__(self, handshake: Handshake, house: House) -> None:
        """Read the URL. Raises HandshakeError."""
        self._codec: Codec = VoskCodec(handshake, house)
        self._other: Codec | None = WhisperLiveCodec(handshake, house)

    def opening(self) -> Configure | None:
        """Begin at once, as both do."""
        return self._codec.opening()

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing, as both do."""
        return self._codec.welcome(session)

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means, by the protocol that the first one belongs to. Raises ProtocolError."""
        if self._other is not None:
            self._codec, self._other = self._other if is_options(message) else self._codec, None
        return self._codec.decode(message)

    def leftover(self) -> Iterator[Samples]:
        """Yield what the protocol's codec still holds."""
        return self._codec.leftover()

    def encode(self, event: Event) -> Iterator[Message]:
        """Yield the protocol's messages for an event."""
        return self._codec.encode(event)

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Yield the protocol's last words."""
        return self._codec.refuse(error)

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close as the protocol does."""
        return self._codec.closing(close, error)


def is_options(message: Message) -> bool:
    """Whether a message is a WhisperLive client's first: it gives its own name."""
    if isinstance(message, bytes):
        return False
    try:
        return "uid" in read_frame(message)
    except ProtocolError:
        return False  # the codec objects
