"""The line protocol's port: every connection is a stream; one for which there is no room is closed without a word."""

from __future__ import annotations

import logging
import secrets

from streamer.config import LineConfig
from streamer.connection.entrance import Entrance
from streamer.network.tcp_wire import TcpWire
from streamer.protocols.line import LineCodec

logger = logging.getLogger(__name__)


class LinePort:
    """Serves one connection after another, many at once."""

    def __init__(self, config: LineConfig) -> None:
        self._language = config.language or None
        self._entrance: Entrance | None = None

    def open(self, entrance: Entrance) -> None:
        """Take streams from now on."""
        self._entrance = entrance

    async def serve(self, wire: TcpWire) -> None:
        """Serve one client to its end."""
        wire.opened()  # there is nothing to ask for: whoever is here speaks
        if self._entrance is None:
            logger.info("refused: the model is being loaded")
            return
        await self._entrance.admit(wire, secrets.token_hex(8), LineCodec(self._language), "line")
