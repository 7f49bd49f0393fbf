"""The protocol of vosk-server's WebSocket: in lockstep, one answer for every message but `config`.

Theory of operation. Clients send a message and wait for its answer before they send another, so an answer must never
wait for the recognizer. Each message leaves a Mark behind its audio, and Marked, which is told at once and in order
with everything else, is when it is answered: with the oldest utterance that was decided meanwhile, or, if there is
none, with what is heard so far. `reset` is a Flush, answered when all before it is decided; `eof` is the end. Both
answers are everything decided and not yet told, as one. A client that does not wait for its answers gets them
nevertheless one for one, in the order of its messages.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from model.types import Samples
from streamer.core import events
from streamer.core.audio import AudioDecoder, Encoding
from streamer.core.commands import (
    Audio,
    Close,
    Command,
    Configure,
    Flush,
    Mark,
    Message,
    ProtocolError,
    Stop,
)
from streamer.protocols.checks import readable_audio, refuse
from streamer.protocols.frames import read_frame, write_frame
from streamer.protocols.handshake import Handshake, House, language_code
from streamer.protocols.vosk_options import Options, changed
from streamer.protocols.vosk_results import Results
from streamer.protocols.wav_file import WavFile

NEWEST, REST = "newest", "rest"
"""Markers: what the answer is."""
WAV = b"RIFF"


class VoskCodec:
    """One client's side of the protocol."""

    def __init__(self, handshake: Handshake, house: House) -> None:
        """Read the URL, where there may be what the protocol has no words for. Raises HandshakeError."""
        language = handshake.text("language")
        self._language = None if language is None else language_code(language, house.languages)
        self._results = Results(plain_text=not handshake.flag("punctuate", default=True))
        self._options = Options()
        self._decoder: AudioDecoder | None = None
        self._file: WavFile | None = None
        self._begun = False
        self._asked: deque[str] = deque()
        self._reached: Counter[str] = Counter()
        self._stopped = False

    def opening(self) -> Configure:
        """Begin at once: `config` is optional."""
        return self._configure()

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing: clients are told only what they ask for."""
        del session
        yield from ()

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means; after `eof` nothing means anything. Raises ProtocolError."""
        if self._stopped:
            return
        if isinstance(message, bytes):
            yield from self._decode_audio(message)
            yield self._ask(NEWEST)
        else:
            yield from self._decode_text(message)

    def leftover(self) -> Iterator[Samples]:
        """Yield what the resampler still holds, unless the client has stopped."""
        if self._decoder is not None and not self._stopped:
            yield self._decoder.flush()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the answers that an event makes possible."""
        match event:
            case events.Marked(marker) | events.Flushed(marker):
                self._reached[marker] += 1
                yield from self._answers()
            case events.Done():
                yield write_frame(self._results.rest(self._options))
            case _:
                self._results.receive(event)

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Tell what was decided; the reason of the close says why there is no more."""
        del error
        if self._results.untold:
            yield write_frame(self._results.rest(self._options))

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close with the daemon's own codes, and say what is wrong, for the protocol has no errors."""
        return int(close), f"{error.code}: {error.message}" if error else ""

    def _configure(self) -> Configure:
        return Configure(language=self._language, context=self._options.phrases)

    def _decode_text(self, message: str) -> Iterator[Command]:
        frame = read_frame(message)
        if "config" in frame:
            yield from self._reconfigure(frame["config"])
        elif frame.get("eof"):
            self._stopped = True
            yield from self._flush()
            yield Stop()
        elif frame.get("reset"):
            yield from self._flush()
            self._asked.append(REST)
            yield Flush(REST)
        else:
            yield self._ask(NEWEST)

    def _reconfigure(self, config: object) -> Iterator[Command]:
        options = changed(self._options, config)
        if self._begun and options.rate != self._options.rate:
            raise refuse(f"sample_rate cannot change within a stream: it is {self._options.rate}, got {options.rate}")
        news = options.phrases != self._options.phrases
        self._options = options
        if news:
            yield self._configure()

    def _decode_audio(self, data: bytes) -> Iterator[Command]:
        """Decode samples; a file is sent by some clients with its header, which then says what they are."""
        with readable_audio():
            if data and not self._begun:
                self._begun = True
                if data.startswith(WAV):
                    self._file = WavFile()
                else:
                    self._decoder = AudioDecoder(Encoding.PCM_S16LE, self._options.rate, 1)
            if self._file is not None:
                found = self._file.receive(data)
                if found is None:
                    return
                form, data = found
                if self._decoder is None:
                    self._decoder = AudioDecoder(form.encoding, form.rate, form.channels)
            if self._decoder is not None:
                for samples in self._decoder.decode(data):
                    yield Audio(samples)

    def _flush(self) -> Iterator[Command]:
        if self._decoder is not None:
            yield Audio(self._decoder.flush())

    def _ask(self, marker: str) -> Mark:
        self._asked.append(marker)
        return Mark(marker)

    def _answers(self) -> Iterator[Message]:
        """Answer in the order of the messages, as far as their places in the stream are reached."""
        while self._asked and self._reached[self._asked[0]]:
            marker = self._asked.popleft()
            self._reached[marker] -= 1
            answer = self._results.rest if marker == REST else self._results.newest
            yield write_frame(answer(self._options))
