"""Makes what serves a client: its connection, and the session that this opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from model.types import SAMPLE_RATE
from streamer.config import Config
from streamer.connection.connection import Connection
from streamer.connection.lobby import Lobby
from streamer.connection.wire import Wire
from streamer.core.commands import Codec, Configure, ProtocolError
from streamer.core.endpoint import adjusted
from streamer.core.session import Session
from streamer.core.vad import VoiceActivityDetector
from streamer.metrics import Metrics
from streamer.recognition.engine import Engine
from streamer.recognition.governor import Governor
from streamer.watching.audience import Audience


@dataclass
class Switchboard:
    """Of one server, whose settings all clients share."""

    config: Config
    make_vad: Callable[[int], VoiceActivityDetector]
    """Makes a stream's detector for an aggressiveness."""
    engine: Engine
    governor: Governor
    lobby: Lobby
    audience: Audience
    metrics: Metrics

    def connect(
        self,
        wire: Wire,
        session: str,
        codec: Codec,
        protocol: str,
        refusal: ProtocolError | None = None,
        *,
        idles: bool = False,
    ) -> Connection:
        """Return the connection of a session, by its name and its protocol's; if there is no room, told why.

        `idles`: nothing may come for as long as one likes, as from a microphone that is unplugged.
        """
        config = self.config.server
        return Connection(
            lobby=self.lobby,
            refusal=refusal,
            session=session,
            publisher=self.audience.host(protocol),
            wire=wire,
            codec=codec,
            engine=self.engine,
            governor=self.governor,
            open_session=self.open_session,
            config=replace(config, idle_timeout_s=0) if idles else config,
            max_backlog=self.config.session.max_backlog_ms * SAMPLE_RATE // 1000,
            metrics=self.metrics,
        )

    def open_session(self, stream: str, configure: Configure) -> Session:
        """Return a session for a name and a client's wishes."""
        return Session(
            stream,
            self.config.session,
            adjusted(self.config.endpoint, configure.hangover_ms, configure.pre_roll_ms),
            self.make_vad(self.config.endpoint.vad_aggressiveness),
            language=configure.language,
            languages=configure.languages,
            task=configure.task,
            context=configure.context,
            partials=configure.partials,
        )
