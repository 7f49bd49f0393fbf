"""One client as a connection sees it: messages in, messages out, each with a limit of time, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from starlette.types import Message as StarletteMessage
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamer.core.commands import Message

MAX_REASON_BYTES = 123
"""Of a close frame (RFC 6455, 5.5: 125 bytes with the code)."""
BROKEN: Final = 1006
"""RFC 6455's code for a connection that ended without a word."""


class Disconnected(Exception):  # noqa: N818  # not an error: clients leave
    """The client is not there any more."""

    def __init__(self, code: int, *, slow: bool = False) -> None:
        """`code` as the client gave it, 1005 or 1006 if it gave none; `slow` if we cut it off."""
        super().__init__(f"disconnected with {code}")
        self.code = code
        self.slow = slow


class Reattached(Exception):  # noqa: N818  # good news
    """The client is there again, over another connection."""


class Wire(Protocol):
    """What carries messages. Once the client is gone, every call raises Disconnected."""

    gone: bool
    """Whether nobody is there any more."""

    async def receive(self) -> Message:
        """Wait for the client's next message."""
        ...

    async def send(self, message: Message) -> None:
        """Send a message; a client that does not take it in time is cut off."""
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Say goodbye, as far as what carries the messages has words for it."""
        ...

    def abort(self) -> None:
        """Drop the client at once."""
        self.gone = True


class WebSocketWire(Wire):
    """An accepted WebSocket."""

    def __init__(self, socket: WebSocket, send_timeout_s: float, drop: Callable[[], None]) -> None:
        """`drop` ends the connection at once, with whatever is still in its buffers."""
        self._socket = socket
        self._send_timeout_s = send_timeout_s
        self._drop = drop
        self.gone = False

    async def receive(self) -> Message:
        """Wait for the client's next message."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            self.gone = True
            raise Disconnected(int(message.get("code") or 1005))
        text = message.get("text")
        return bytes(message["bytes"]) if text is None else str(text)

    async def send(self, message: Message) -> None:
        """Send a message; a client that does not take it in time is cut off."""
        if isinstance(message, str):
            await self._send({"type": "websocket.send", "text": message})
        else:
            await self._send({"type": "websocket.send", "bytes": message})

    async def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; the closing handshake goes on by itself, within a bound."""
        fitting = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": fitting})

    async def _send(self, message: StarletteMessage) -> None:
        if self.gone:
            raise Disconnected(BROKEN)
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._socket.send(message)
        except WebSocketDisconnect:
            self.gone = True
            raise Disconnected(BROKEN) from None
        except TimeoutError:
            self.gone = True
            self.abort()
            raise Disconnected(BROKEN, slow=True) from None

    def abort(self) -> None:
        """Drop the connection: closing it would wait for the very buffer that the client does not empty."""
        self.gone = True
        self._drop()
