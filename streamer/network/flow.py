"""What asyncio's transports leave to others: how much of one client is taken at once, and how it is dropped."""

from __future__ import annotations

import asyncio

READ_BYTES = 16_384
"""Read from a socket at once: what one client can make the event loop parse before others have their turn."""
UNSENT_BYTES = 65_536
"""Under TLS, what a client that does not read makes us hold before its session waits; asyncio's default without TLS."""

LINGER_S = 2.0
"""Time a client that is still sending has to read why it is not listened to."""


def drop(transport: asyncio.BaseTransport) -> None:
    """End a connection at once, with whatever is still in its buffers; nothing, if it is gone.

    Python 3.11's transports forget their event loop when they have closed, and then raise AttributeError for an abort
    that comes late: after a close() that had bytes to send first.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        assert isinstance(transport, asyncio.WriteTransport), "what can be closed can be aborted"
        transport.abort()
