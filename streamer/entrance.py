"""From a client to its session: whether there is room for it, and the connection that serves it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from streamer.admission import Admission
from streamer.connection import Connection
from streamer.metrics import Metrics
from streamer.protocols.commands import Codec, ProtocolError
from streamer.wire import Wire

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every protocol's clients come in through."""

    admission: Admission
    metrics: Metrics
    connect: Callable[[Wire, str, Codec, str, ProtocolError | None], Connection]
    """Makes the connection of a session, by its name and its protocol's; if there is no room, told why."""

    def refusal(self) -> ProtocolError | None:
        """Return why one more session is not taken, or None."""
        return self.admission.refusal()

    async def admit(self, wire: Wire, session: str, codec: Codec, protocol: str) -> None:
        """Serve a client to its end, or tell it in its protocol's words why not."""
        refusal = self.refusal()
        connection = self.connect(wire, session, codec, protocol, refusal)
        if refusal is not None and not connection.may_resume:
            self.metrics.refusal(refusal.code)
            logger.info("refused: %s", refusal.message, extra={"close": int(refusal.close)})
            await connection.refuse(refusal)
            return
        with self.admission.admitted(connection):
            await connection.run()
