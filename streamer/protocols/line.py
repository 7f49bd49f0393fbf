"""The line protocol of whisper_streaming and SimulStreaming: samples in, lines of committed text out, over plain TCP.

In comes 16-bit little-endian mono at 16 kHz and nothing else, up to the end of what the client sends. Out go lines of
`BEGIN END TEXT`, times in milliseconds, each beginning no earlier than the one before it ends; the texts add up as they
are. There is no place for a language, an error or a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from model.types import SAMPLE_RATE, Samples
from streamer.core import events
from streamer.core.audio import AudioDecoder, Encoding
from streamer.core.commands import Audio, Close, Command, Configure, Message, ProtocolError, Stop

SAMPLES_PER_MS = SAMPLE_RATE // 1_000


class LineCodec:
    """One client's side of the protocol."""

    def __init__(self, language: str | None) -> None:
        """`language` is the daemon's choice, None to hear it."""
        self._language = language
        self._decoder = AudioDecoder(Encoding.PCM_S16LE, SAMPLE_RATE, 1)
        self._utterance = 0
        self._end = 0

    def opening(self) -> Configure:
        """Begin at once: there is nothing to wait for."""
        return Configure(language=self._language, partials=False)

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing."""
        del session
        yield from ()

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield the samples that some bytes are; none are the end."""
        assert isinstance(message, bytes), "a TCP connection carries bytes"
        yield from map(Audio, self._decoder.decode(message))
        if not message:
            yield Stop()

    def leftover(self) -> Iterator[Samples]:
        """Yield nothing: at 16 kHz nothing is held back."""
        yield from ()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the line for committed words."""
        if isinstance(event, events.Commit):
            space = " " if self._utterance not in {0, event.utterance} else ""
            self._utterance = event.utterance
            begin = max(event.start, self._end)
            self._end = max(event.end, begin)
            text = space + event.text.replace("\n", " ")
            yield f"{round(begin / SAMPLES_PER_MS)} {round(self._end / SAMPLES_PER_MS)} {text}\n".encode()

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say nothing: a client would take it for speech."""
        del error
        yield from ()

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close; TCP knows no reasons."""
        del error
        return int(close), ""
