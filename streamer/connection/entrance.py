"""From a client to its session: whether there is room for it, and the connection that serves it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from streamer.connection.admission import Admission
from streamer.connection.channels import Channels
from streamer.connection.connection import Connection
from streamer.connection.wire import Wire
from streamer.core.commands import Codec, ProtocolError
from streamer.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every protocol's clients come in through."""

    admission: Admission
    metrics: Metrics
    connect: Callable[[Wire, str, Codec, str, ProtocolError | None], Connection]
    """Makes the connection of a session, by its name and its protocol's; if there is no room, told why."""

    def refusal(self, streams: int = 1) -> ProtocolError | None:
        """Return why so many more sessions are not taken, or None."""
        return self.admission.refusal(streams)

    async def admit(self, wire: Wire, session: str, codec: Codec, protocol: str) -> None:
        """Serve a client to its end, or tell it in its protocol's words why not."""
        refusal = self.refusal()
        connection = self.connect(wire, session, codec, protocol, refusal)
        if refusal is not None and not connection.may_resume:
            await self._refuse(connection, refusal)
            return
        with self.admission.admitted(connection):
            await connection.run()

    async def admit_channels(self, wire: Wire, session: str, codecs: Sequence[Codec], protocol: str) -> None:
        """Serve a client whose audio is as many streams as there are codecs, or tell it why not."""
        if len(codecs) == 1:
            await self.admit(wire, session, codecs[0], protocol)
            return
        refusal = self.refusal(len(codecs))
        if refusal is not None:
            await self._refuse(self.connect(wire, session, codecs[0], protocol, refusal), refusal)
            return
        channels = Channels(wire, len(codecs))
        parts = enumerate(zip(channels.wires, codecs, strict=True))
        connections = [
            self.connect(each, f"{session}-{index}", codec, protocol, None) for index, (each, codec) in parts
        ]
        with ExitStack() as admitted:
            for connection in connections:
                admitted.enter_context(self.admission.admitted(connection))
            await channels.run(connections)

    async def _refuse(self, connection: Connection, refusal: ProtocolError) -> None:
        self.metrics.refusal(refusal.code)
        logger.info("refused: %s", refusal.message, extra={"close": int(refusal.close)})
        await connection.refuse(refusal)
