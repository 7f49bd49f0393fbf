"""The server as a whole: sockets, HTTP, engine, sessions, and how they begin and end together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from socket import socket

from model.types import Recognizer
from streamer.config import Config, ConfigError, JournalConfig
from streamer.connection.admission import Admission
from streamer.connection.entrance import Entrance
from streamer.connection.lobby import Lobby
from streamer.connection.switchboard import Switchboard
from streamer.core.vad import VoiceActivityDetector, WebRtcVad
from streamer.decoding.decoder import DECODER
from streamer.decoding.decoders import Decoders
from streamer.heap import keep_small
from streamer.http.files import Files
from streamer.http.routes import http_routes
from streamer.journal.journal import Journal
from streamer.metrics import Metrics
from streamer.microphone.own_microphone import OwnMicrophone, Source, check_wishes, default_source
from streamer.network.access import Access, Right
from streamer.network.doors import LINE, Doors
from streamer.network.http_listener import Listener
from streamer.network.listening import exposed, port_of
from streamer.network.ports import Ports
from streamer.network.streams import Streams
from streamer.network.tls import Certificate
from streamer.network.transport import TransportConfig
from streamer.protocols.handshake import House
from streamer.recognition.recognition import Recognition
from streamer.routes import Routes
from streamer.service import Notifier
from streamer.stop import Stop
from streamer.watching.audience import Audience
from streamer.watching.routes import watching_routes
from streamer.worker.supervisor import Supervisor

logger = logging.getLogger(__name__)


class Server:
    """One server: run() until stop() has drained it. Everything it counts and holds is its own."""

    def __init__(
        self,
        config: Config,
        recognizer: Recognizer | Supervisor,
        environment: MutableMapping[str, str],
        make_vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
        *,
        ports: Ports | None = None,
        make_source: Callable[[str | None], Source] = default_source,
        decoder: Sequence[str] = DECODER,
    ) -> None:
        """Take the settings and bind the sockets.

        `recognizer` is in this process, or a Supervisor whose first child has loaded the model;
        `environment` holds the service manager's variables; `make_vad` makes a stream's detector for an aggressiveness;
        `ports` are those that are open already, and whose `run` is somebody else's; `make_source` makes the microphone
        for a device; `decoder` is the program that becomes the decoder of an upload (`streamer.decoding.host.main`).

        Raises ConfigError for settings that cannot be, AddressError for an address that cannot be had.
        """
        config.session.check_languages(recognizer.card.languages)
        check_wishes(config.microphone, recognizer.card)
        self.metrics = Metrics()
        self.recognition = Recognition(
            recognizer,
            config,
            self.metrics,
            sessions=lambda: self.admission.count,
        )
        self.engine = self.recognition.engine
        self.admission = Admission(
            config.server.max_sessions,
            self.recognition.happens,
            self.metrics,
            self.recognition.has_room_for,
            self.recognition.has_memory,
        )
        self.recognition.recovery.on_restart = self.admission.warn
        self._config = config
        self._card = recognizer.card
        self._stop = Stop()
        self._notifier = Notifier(environment)
        access = Access.of(config.server)
        self.certificate = Certificate.of(config.server)
        """What the port shows to who connects; None where it speaks without TLS."""
        doors = ports.doors if ports else Doors(config, environment)
        if doors.serves(LINE, config.line):
            config.line.check_language(recognizer.card.languages)
        self._sockets: list[socket] = [*doors.http(guarded=access.guards(Right.SPEAK))]
        self.port = port_of(self._sockets)
        """TCP port that clients connect to; 0 if there are only Unix sockets."""
        self.guests = doors.guests
        self.guests.refused = self.metrics.refusal
        house = House(self._card.name, self._card.languages, self._card.tasks, config.endpoint)
        self._runs_ports = ports is None
        self.ports = ports or Ports(config, house, doors)
        """What is served beside HTTP, each on a port of its own."""
        self.journal = self._open_journal(config.journal)
        self._lobby = Lobby(self.journal, config.server.resume_s, config.server.max_sessions)
        self.files = Files(config.http.max_files, self.metrics.registry)
        self.decoders = Decoders(self.metrics.registry, decoder)
        self.audience = Audience(config.watch, self.metrics)
        self.switchboard = Switchboard(
            config=config,
            make_vad=make_vad,
            engine=self.engine,
            governor=self.recognition.governor,
            lobby=self._lobby,
            audience=self.audience,
            metrics=self.metrics,
        )
        watching = watching_routes(
            self.audience, access, self.metrics, config.server.send_timeout_s, lambda: self.admission.draining
        )
        uploads = http_routes(
            config=config,
            card=recognizer.card,
            access=access,
            admission=self.admission,
            files=self.files,
            decoders=self.decoders,
            engine=self.engine,
            metrics=self.metrics,
            open_session=self.switchboard.open_session,
        )
        entrance = Entrance(self.admission, self.metrics, self.switchboard.connect)
        streams = Streams(access, entrance, self.metrics, house, send_timeout_s=config.server.send_timeout_s)
        self.ports.open(house, entrance)
        self.microphone = self._make_microphone(make_source) if config.microphone.enabled else None
        """The daemon's own, if it has one."""
        others = [*streams.routes(), *uploads, *watching]
        routes = Routes(
            access, self.admission, self.metrics, others, self.microphone, degraded=lambda: self.journal.failing
        )
        transport = TransportConfig(routes.application(), config.server, self.guests, self.certificate)
        self._listener = Listener(transport)
        self.metrics.ready.set_function(lambda: float(self.admission.ready))
        self.metrics.sessions.set_function(lambda: self.admission.count)

    def _open_journal(self, config: JournalConfig) -> Journal:
        try:
            journal = Journal(config, self.metrics.journal.observe)
        except ConfigError:
            self._close_sockets()
            raise
        self.metrics.watch_journal(journal)
        return journal

    def _close_sockets(self) -> None:
        if self._runs_ports:
            self.ports.close()
        for listening in self._sockets:
            listening.close()

    def stop(self) -> None:
        """Drain and end; asked a second time, end at once."""
        if self._stop.asked.is_set():
            self.admission.cut()
            self.files.cut()
        self._stop.ask()

    async def run(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Serve until stopped; `on_ready` hears the port once streams are accepted.

        Cancelled, it drops everybody at once, and leaves nothing on the event loop.

        Raises, in an ExceptionGroup, what makes serving impossible: a model that does not decode, a failed engine.
        """
        try:
            async with asyncio.TaskGroup() as group:
                engine = group.create_task(self.engine.run())
                async with self._stop.interrupts():
                    await self.recognition.warm_up()
                if self.recognition.warm:
                    await self._serve(group, on_ready)
                self.ports.end()
                engine.cancel()
        finally:
            self._close_sockets()
            self.journal.close()
        logger.info("stopped")

    async def _serve(self, group: asyncio.TaskGroup, on_ready: Callable[[int], None] | None) -> None:
        """Serve until stopped, and those who are there to their ends."""
        tasks = [
            group.create_task(self._notifier.watch(self.recognition.alive)),
            group.create_task(self.recognition.recovery.run()),
            group.create_task(self._renew()),
            group.create_task(self.decoders.run()),
            group.create_task(keep_small()),
        ]
        if self.microphone:
            tasks.append(group.create_task(self.microphone.run()))
        listener = group.create_task(self._listener.serve(self._sockets))
        if self._runs_ports:
            group.create_task(self.ports.run())
        await self._listener.listening.wait()
        self._announce(on_ready)
        await self._stop.asked.wait()
        await self._drain()
        self.ports.end()
        self._listener.end()
        await listener
        for task in tasks:
            task.cancel()

    async def _renew(self) -> None:
        if self.certificate is not None:
            await self.certificate.watch()

    def _announce(self, on_ready: Callable[[int], None] | None) -> None:
        status = f"serving {self._card.name} on {self._config.server.host} port {self.port}"
        logger.info("%s", status, extra={"device": self._card.device, "precision": self._card.precision})
        if self.certificate is None and (addresses := exposed(self._sockets)):
            logger.warning(
                "tokens, speech and text can be read on the network: %s port %d speaks without TLS; set "
                "server.tls_certificate and server.tls_key, or let a proxy with a certificate be all that reaches it",
                " and ".join(addresses),
                self.port,
            )
        self._notifier.ready(status)
        if on_ready is not None:
            on_ready(self.port)

    async def _drain(self) -> None:
        logger.info("stopping", extra={"sessions": self.admission.count})
        self._notifier.stopping(f"finishing {self.admission.count} sessions")
        async with asyncio.TaskGroup() as group:
            group.create_task(self.admission.drain(self._config.server.drain_timeout_s))
            group.create_task(self.files.drain(self._config.server.drain_timeout_s))
        await self.audience.drain()

    def _make_microphone(self, make_source: Callable[[str | None], Source]) -> OwnMicrophone:
        return OwnMicrophone(
            config=self._config.microphone,
            admission=self.admission,
            connect=partial(self.switchboard.connect, idles=True),
            registry=self.metrics.registry,
            make_source=make_source,
        )
