"""How a stream can fail, as its client sees it."""

from __future__ import annotations


class StreamError(Exception):
    """The server ended the stream with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        """As in `docs/protocol.md`, for programs."""
        self.message = message


class ConnectionLost(Exception):  # noqa: N818 (what happened, not whose error it is)
    """The connection ended before everything was decided; whatever was committed stands."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        """WebSocket close code of the server; 0 if it said none."""


class Unreachable(Exception):  # noqa: N818 (what is the matter with the server)
    """No stream could be opened at this address."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the refusal; 0 if nobody answered."""
