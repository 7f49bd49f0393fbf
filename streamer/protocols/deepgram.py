"""Deepgram's live interface, version 1: settings in the URL, audio in binary, JSON text for the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from model.types import SAMPLE_RATE, Samples
from streamer.core import events
from streamer.core.audio import AudioDecoder, AudioError
from streamer.core.commands import (
    Audio,
    Close,
    Command,
    Configure,
    ErrorCode,
    Flush,
    Mark,
    Message,
    ProtocolError,
    Stop,
)
from streamer.core.endpoint import latest_onset
from streamer.protocols import deepgram_options
from streamer.protocols.checks import readable_audio
from streamer.protocols.deepgram_results import Results, Wanted
from streamer.protocols.deepgram_whole import Whole
from streamer.protocols.frames import Frame, write_frame
from streamer.protocols.handshake import Handshake, HandshakeError, House
from streamer.protocols.wav_file import WavFile, WavFormat

SUBPROTOCOLS = ("token", "bearer")
MARKER = "deepgram"
TICK = SAMPLE_RATE // 10
"""Samples between two looks at the clock for UtteranceEnd."""
DECODER = msgspec.json.Decoder()
REASONS = {
    ErrorCode.IDLE_TIMEOUT: (Close.OUR_FAULT, "net0001"),
    ErrorCode.BAD_SAMPLES: (Close.NOT_ALLOWED, "DATA-0000"),
    ErrorCode.INTERNAL: (Close.OUR_FAULT, "NET-0000"),
    ErrorCode.RECOGNITION_FAILED: (Close.OUR_FAULT, "NET-0000"),
}
"""Close codes, and what their reasons begin with, where Deepgram's clients know them."""


class DeepgramCodec:
    """One client's side of the interface, or one channel of it."""

    def __init__(
        self, handshake: Handshake, house: House, channel: int | None = None, whole: Whole | None = None
    ) -> None:
        """Read the URL. Raises HandshakeError for what cannot be served.

        `channel` is the one to hear, from 0; None hears all of them mixed. `whole` is shared with the other channels.
        """
        self._options = options = deepgram_options.read(handshake, house)
        self._channel = channel
        self._request = handshake.session
        model = model_of(house)
        self._whole = whole or Whole(1, handshake.session, handshake.opened_at, model)
        gap = options.utterance_end_ms
        wanted = Wanted(
            interim=options.interim,
            plain=options.plain,
            endpointing=options.endpointing,
            utterance_end=None if gap is None else gap * SAMPLE_RATE // 1_000,
            onset=latest_onset(house.endpoint),
            vad_events=options.vad_events,
        )
        metadata = {"request_id": self._request, "model_uuid": house.model, "model_info": model}
        place = (0, 1) if channel is None else (channel, options.channels)
        self._results = Results(wanted, metadata, place)
        self._file = WavFile() if options.encoding is None else None
        self._decoder: AudioDecoder | None = None
        self._channels = options.channels
        if options.encoding is not None:
            self._decoder = AudioDecoder(options.encoding, options.rate, options.channels, channel)
        self._answers: deque[Callable[[int], Iterator[Frame]]] = deque()
        self._untimed = 0
        self._stopped = False

    def opening(self) -> Configure:
        """Return what the URL asks for."""
        return self._options.configure()

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing: the handshake has said it."""
        del session
        yield from ()

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means; after CloseStream nothing means anything. Raises ProtocolError."""
        if self._stopped:
            return
        if message == b"":  # what clients sent before there was CloseStream
            yield from self._stop()
        elif isinstance(message, bytes):
            yield from self._decode_audio(message)
        else:
            yield from self._decode_text(message)

    def leftover(self) -> Iterator[Samples]:
        """Yield what the resampler still holds, unless the client has stopped."""
        if self._decoder is not None and not self._stopped:
            yield self._decoder.flush()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the messages for an event."""
        frames = self._answers.popleft()(event.at) if isinstance(event, events.Marked) else self._results.receive(event)
        for frame in frames:
            yield write_frame(frame)
        if isinstance(event, events.Done) and self._whole.is_last():
            yield write_frame(self._whole.metadata(event.audio, self._channels))

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say nothing: the reason of the close says it."""
        del error
        yield from ()

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close with the codes that Deepgram's clients know."""
        if error is None:
            return int(close), ""
        code, name = REASONS.get(error.code, (close, str(error.code)))
        return int(code), f"{name}: {error.message}"

    def _decode_audio(self, data: bytes) -> Iterator[Command]:
        if self._speaks_for_all:
            self._whole.hear(data)
        with readable_audio(Close.NOT_ALLOWED):
            if self._file is not None:
                if (found := self._file.receive(data)) is None:
                    return
                form, data = found
                self._decoder = self._decoder or self._open(form)
            assert self._decoder is not None, "there is an encoding or a file"
            for samples in self._decoder.decode(data):
                yield Audio(samples)
                yield from self._tick(len(samples))

    def _open(self, form: WavFormat) -> AudioDecoder:
        """Return what decodes a file. Raises AudioError for other channels than the URL names."""
        if self._channel is not None and form.channels != self._channels:
            raise AudioError(f"the file must have {self._channels} channels, got {form.channels}")
        self._channels = form.channels
        return AudioDecoder(form.encoding, form.rate, form.channels, self._channel)

    def _tick(self, samples: int) -> Iterator[Command]:
        """Look at the audio's clock now and then, if somebody wants to know of silence."""
        self._untimed += samples
        if self._options.utterance_end_ms is not None and self._untimed >= TICK:
            self._untimed = 0
            yield self._answer(self._results.tick)

    def _decode_text(self, message: str) -> Iterator[Command]:
        event = read(message)
        match event.get("type"):
            case "KeepAlive":
                return
            case "Finalize":
                if self._channel is not None and event.get("channel", self._channel) != self._channel:
                    return
                yield from self._flush()
                yield self._answer(self._results.finalize)
                yield Flush(MARKER)
            case "CloseStream":
                yield from self._stop()
            case "Configure":
                yield from self._configure(event)
            case _:
                known = "KeepAlive, Finalize, CloseStream or Configure"
                message = f"a text message must be a JSON object whose type is {known}"
                yield from self._say(
                    {"type": "Error", "variant": "SchemaError", "description": message, "message": message}
                )

    def _configure(self, event: dict[str, Any]) -> Iterator[Command]:
        """Take other keyterms; nothing else can be changed."""
        told: Frame = {"request_id": self._request}
        if "keyterms" not in event:
            yield from self._say({"type": "ConfigureSuccess", **told})
            return
        keyterms = event["keyterms"]
        try:
            joined = deepgram_options.join_keyterms(texts(keyterms))
        except HandshakeError as error:
            yield from self._say(
                {"type": "ConfigureFailure", **told, "code": "INVALID_VALUE", "description": str(error)}
            )
        else:
            yield self._options.configure(joined)
            yield from self._say({"type": "ConfigureSuccess", **told, "keyterms": keyterms})

    def _stop(self) -> Iterator[Command]:
        self._stopped = True
        yield from self._flush()
        yield Stop()

    def _flush(self) -> Iterator[Command]:
        if self._decoder is not None:
            yield Audio(self._decoder.flush())

    @property
    def _speaks_for_all(self) -> bool:
        """Whether it is this channel that does what is to be done once."""
        return not self._channel

    def _say(self, frame: Frame) -> Iterator[Command]:
        if self._speaks_for_all:
            yield self._answer(partial(lambda told, _: iter([told]), frame))

    def _answer(self, answer: Callable[[int], Iterator[Frame]]) -> Mark:
        """Leave an answer at this place of the stream; it is given the sample index of the place."""
        self._answers.append(answer)
        return Mark(MARKER)


def model_of(house: House) -> Frame:
    """Return what results say of the model."""
    return {"name": house.model, "version": "", "arch": "whisper"}


def channel_codecs(handshake: Handshake, house: House) -> list[DeepgramCodec]:
    """Return a codec for each channel if the client wants them apart, else one. Raises HandshakeError."""
    options = deepgram_options.read(handshake, house)
    if not options.multichannel:
        return [DeepgramCodec(handshake, house)]
    whole = Whole(options.channels, handshake.session, handshake.opened_at, model_of(house))
    return [DeepgramCodec(handshake, house, channel, whole) for channel in range(options.channels)]


def read(message: str) -> dict[str, Any]:
    """Read a client's text message; what is no JSON object is an object without a type."""
    try:
        event = DECODER.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    return event if isinstance(event, dict) else {}


def texts(value: object) -> list[str]:
    """Return a list of texts. Raises HandshakeError for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise HandshakeError("keyterms must be a list of texts")
    return value
