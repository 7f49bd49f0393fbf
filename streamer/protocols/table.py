"""The wire protocols: where each is served and what makes its codec. A new one is a file beside this and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from streamer.core.commands import Codec
from streamer.protocols import deepgram, openai_beta, openai_realtime
from streamer.protocols.handshake import Handshake, House
from streamer.protocols.native import NativeCodec
from streamer.protocols.pathless import PathlessCodec
from streamer.protocols.vosk import VoskCodec
from streamer.protocols.whisperlive import WhisperLiveCodec

NATIVE_SUBPROTOCOL = "streamer.v1"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a protocol's clients are told over HTTP that there will be no WebSocket."""

    body: str
    media_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WireProtocol:
    """One row."""

    name: str
    path: str
    codec: Callable[[Handshake, House], Codec]
    """Raises HandshakeError for a request that cannot be served."""
    subprotocols: tuple[str, ...]
    """Names that may be selected, the preferred one first: a browser that offers any gives up if none is."""
    message_bytes: int = 0
    """Size of the largest message, if it is more than the server allows elsewhere."""
    busy_over_http: bool = False
    """Whether a stream for which there is no room is refused by HTTP's status; else by the protocol's own words."""
    refusal: Callable[[Handshake, int, str], Refusal] = lambda _, __, message: Refusal(message)
    """What HTTP says with a status and a message."""
    greeting: Callable[[Handshake], Mapping[str, str]] = lambda _: {}
    """HTTP headers of an accepted handshake."""
    channels: Callable[[Handshake, House], Sequence[Codec]] | None = None
    """Makes a codec for each channel of the audio, where a client may want each to be a stream of its own."""

    def codecs(self, handshake: Handshake, house: House) -> Sequence[Codec]:
        """Return a codec for each stream of a connection. Raises HandshakeError for what cannot be served."""
        return self.channels(handshake, house) if self.channels else [self.codec(handshake, house)]


def native(_: Handshake, house: House) -> Codec:
    """Make the native codec: it reads nothing from the URL."""
    return NativeCodec(house.model, house.languages, house.tasks)


def deepgram_refusal(handshake: Handshake, status: int, message: str) -> Refusal:
    """Say no as Deepgram's server does: a JSON object, and its message again in a header."""
    names = {400: "Bad Request", 401: "INVALID_AUTH", 403: "FORBIDDEN", 429: "TOO_MANY_REQUESTS"}
    error = {"err_code": names.get(status, "UNAVAILABLE"), "err_msg": message, "request_id": handshake.session}
    header = message.encode("ascii", "replace").decode()
    headers = {"dg-error": "".join(letter if letter.isprintable() else "?" for letter in header)}
    return Refusal(msgspec.json.encode(error).decode(), "application/json", headers)


PROTOCOLS = (
    WireProtocol("native", "/v1/stream", native, (NATIVE_SUBPROTOCOL,)),
    WireProtocol(
        "openai-realtime",
        "/v1/realtime",
        openai_realtime.OpenAIRealtimeCodec,
        (openai_realtime.SUBPROTOCOL, openai_beta.SUBPROTOCOL),
        message_bytes=openai_realtime.MESSAGE_BYTES,
    ),
    WireProtocol(
        "deepgram",
        "/v1/listen",
        deepgram.DeepgramCodec,
        deepgram.SUBPROTOCOLS,
        busy_over_http=True,
        refusal=deepgram_refusal,
        greeting=lambda handshake: {"dg-request-id": handshake.session},
        channels=deepgram.channel_codecs,
    ),
    WireProtocol("vosk", "/vosk", VoskCodec, (), busy_over_http=True),
    WireProtocol("whisperlive", "/whisperlive", WhisperLiveCodec, (), busy_over_http=True),
    WireProtocol("pathless", "/", PathlessCodec, (), busy_over_http=True),
)
