"""The native protocol from the client's side: audio in, typed messages out. `docs/protocol.md` describes the wire.

    async with connect("ws://127.0.0.1:8765") as stream:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send_everything(stream))   # send_audio …, then stop
            async for message in stream:
                ...

Send and receive at the same time. A server that is behind stops reading, and `send_audio` waits; messages that nobody
takes wait in a queue of RECEIVED_MESSAGES, then the network stops too, and the server cuts a client that keeps it
waiting.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self, cast

import msgspec
import websockets

from clients.address import is_loopback, stream_url
from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.pcm import encoded
from clients.received import FromServer, received
from clients.trust import trust
from model.types import SAMPLE_RATE, Samples, Task
from streamer.core.audio import Encoding
from streamer.protocols import messages

RECEIVED_MESSAGES = 1024
SENT_BYTES = 65_536
"""Longest message that is sent; longer audio is cut, which changes nothing for the server."""

BROKEN = 1006
"""RFC 6455's code for a connection that ended without a word."""

ENCODER = msgspec.json.Encoder()


class Socket(Protocol):
    """What a stream needs of a connection. Both methods raise ConnectionLost, or websockets' ConnectionClosed."""

    async def send(self, message: str | bytes) -> None:
        """Send a message; wait while the other side does not take any."""
        ...

    async def recv(self) -> str | bytes:
        """Wait for the next message."""
        ...


class Stream:
    """An open stream; made by `connect`. Iterating ends after `done`."""

    def __init__(self, socket: Socket, encoding: Encoding, ready: messages.Ready) -> None:
        self._socket = socket
        self._encoding = encoding
        self.ready = ready
        """What the server said of the session and the model."""

    @classmethod
    async def open(cls, socket: Socket, start: messages.Start) -> Self:
        """Ask for a stream over a connection that is new. Raises StreamError if it is refused, ConnectionLost."""
        with suppress(websockets.ConnectionClosed):  # one that refuses unheard says why in what is read next
            await socket.send(ENCODER.encode(start).decode())
        ready = await _receive(socket)
        if not isinstance(ready, messages.Ready):
            raise StreamError("bad_message", f"a server must answer start with ready, not with {type(ready).__name__}")
        return cls(socket, Encoding(start.encoding), ready)

    async def send_audio(self, audio: bytes | Samples) -> None:
        """Send what comes next: bytes in the stream's encoding, or samples, float32 (n,) in [-1, 1].

        Waits while the server is behind. None at all, sent now and then, keeps a stream open through a long silence.
        Raises ConnectionLost if the connection has ended (iterating says why), ValueError for samples if not PCM.
        """
        data = audio if isinstance(audio, bytes) else encoded(audio, self._encoding)
        for begin in range(0, max(len(data), 1), SENT_BYTES):
            await self._send(data[begin : begin + SENT_BYTES])

    async def flush(self, marker: str = "") -> None:
        """Ask for everything sent so far to be decided; a `Flushed` with this id follows."""
        await self._send(ENCODER.encode(messages.Flush(marker)).decode())

    async def stop(self) -> None:
        """End the stream: everything is decided, then `Done` follows."""
        await self._send(ENCODER.encode(messages.Stop()).decode())

    async def __aiter__(self) -> AsyncIterator[FromServer]:
        """Yield messages up to and including `Done`.

        Raises StreamError if the server reports one, ConnectionLost if the connection ends before `Done`.
        """
        while True:
            message = await _receive(self._socket)
            yield message
            if isinstance(message, messages.Done):
                return

    async def close_code(self) -> int:
        """Wait for the connection to end, after `Done`; return the server's close code, 1006 if it broke."""
        try:
            while True:
                await self._socket.recv()
        except websockets.ConnectionClosed as error:
            return error.rcvd.code if error.rcvd is not None else BROKEN
        except ConnectionLost:
            return BROKEN

    async def _send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except websockets.ConnectionClosed as error:
            raise _lost(error) from error


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    sample_rate: int = SAMPLE_RATE,
    encoding: Encoding = Encoding.PCM_S16LE,
    channels: int = 1,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    prompt: str = "",
    partials: bool = True,
    words: bool = True,
    languages: Sequence[str] = (),
    hotwords: Sequence[str] = (),
    open_timeout_s: float = 10.0,
    ca_file: Path | None = None,
) -> AsyncGenerator[Stream, None]:
    """Open a stream and close it in the end; the arguments are the fields of `start`.

    A server at `wss://` must show a certificate that the system trusts, or, if given, an authority in `ca_file` (PEM).

    Raises Unreachable if there is no server at `url` or it refuses to talk, StreamError if it refuses this stream,
    ConnectionLost if it says nothing of it.
    """
    wanted = list(languages), list(hotwords)
    start = messages.Start(sample_rate, encoding, channels, language, task, prompt, partials, words, *wanted)
    async with dial(url, start, token=token, ca_file=ca_file, open_timeout_s=open_timeout_s) as stream:
        yield stream


@asynccontextmanager
async def dial(
    url: str,
    start: messages.Start,
    *,
    token: str | None = None,
    ca_file: Path | None = None,
    open_timeout_s: float = 10.0,
    heartbeat_s: float | None = None,
    live: bool = False,
) -> AsyncGenerator[Stream, None]:
    """Open the stream that `start` asks for, and close it in the end.

    open_timeout_s: bounds the way to the server, and then its answer to `start`. heartbeat_s: ping so often, and take a
    server that does not answer within the same time for gone, if the stream can be resumed or the audio is `live`:
    other clients may send more than the server reads at once. Raises Unreachable, StreamError, and ConnectionLost once
    `start` may have been heard.
    """
    address = url
    try:
        address = stream_url(url)
        options = _options(address, token) | trust(address, ca_file)
        if heartbeat_s is not None:
            options |= {"ping_interval": heartbeat_s, "ping_timeout": None}
        socket = await websockets.connect(address, open_timeout=open_timeout_s, **options)
    except (OSError, TimeoutError, websockets.WebSocketException, ValueError, ImportError) as error:
        status = error.response.status_code if isinstance(error, websockets.InvalidStatus) else 0
        raise Unreachable(f"{address}: {_why_not(error)}", status) from error
    async with socket:
        try:
            async with asyncio.timeout(open_timeout_s):
                stream = await Stream.open(cast("Socket", socket), start)
        except TimeoutError as error:
            raise ConnectionLost(f"the server did not answer start within {open_timeout_s:g} s") from error
        if live or not isinstance(stream.ready.resume_token, msgspec.UnsetType):
            socket.ping_timeout = heartbeat_s  # until here its answer was bounded, and whether it matters not known
        yield stream


async def _receive(socket: Socket) -> FromServer:
    """Return the next message of a type that is known; a later version of the server may have more."""
    while True:
        try:
            message = received(await socket.recv())
        except websockets.ConnectionClosed as error:
            raise _lost(error) from error
        except msgspec.MsgspecError as error:
            raise StreamError("bad_message", f"the server said something outside the protocol: {error}") from error
        if isinstance(message, messages.Error):
            raise StreamError(message.code, message.message)
        if message is not None:
            return message


def _options(address: str, token: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "compression": None,  # audio does not shrink, and captions are small
        "max_queue": RECEIVED_MESSAGES,
        "close_timeout": 2.0,
        "ping_timeout": None,  # a pong waits behind all the audio that is on its way
        "additional_headers": {"Authorization": f"Bearer {token}"} if token else None,
    }
    if is_loopback(address):
        options["proxy"] = None  # a proxy for the Internet does not know this machine's own address
    return options


def _why_not(error: Exception) -> str:
    if isinstance(error, websockets.InvalidStatus):
        status = error.response.status_code
        said = (error.response.body or b"")[:200].decode(errors="replace").strip()
        hint = " (is the token right?)" if status in {401, 403} else ""
        return f"the server answered {status}{hint}" + (f": {said}" if said else "")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error} (--ca-file names an authority to trust)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _lost(error: websockets.ConnectionClosed) -> ConnectionLost:
    if error.rcvd is None:
        return ConnectionLost("the connection broke")
    how = f"the server closed the connection: {error.rcvd.code} {error.rcvd.reason}".rstrip()
    return ConnectionLost(how, error.rcvd.code)
