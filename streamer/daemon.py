"""The daemon's life: the model is loaded, the server serves, and signals end either."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from model.types import Recognizer
from streamer.config import Config
from streamer.core.vad import VoiceActivityDetector, WebRtcVad
from streamer.network.doors import Doors
from streamer.network.ports import Ports
from streamer.protocols.handshake import House
from streamer.recognition.loading import Loading
from streamer.server import Server
from streamer.signals import signals, unwrapped
from streamer.stop import Stop
from streamer.worker.supervisor import Supervisor

logger = logging.getLogger(__name__)


async def serve(
    config: Config,
    recognizer: Recognizer | Supervisor,
    *,
    on_ready: Callable[[int], None] | None = None,
    make_vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
    ports: Ports | None = None,
) -> None:
    """Run the server until SIGTERM or SIGINT has drained it; a second signal ends it at once.

    `recognizer`, `make_vad` and `ports` as `Server` takes them. Returns when it ended as asked; cancelled, it drops
    everybody at once. Raises ConfigError, AddressError for an address that cannot be had, EngineError for a model that
    does not decode.
    """
    server = Server(config, recognizer, os.environ, make_vad, ports=ports)
    with signals(server.stop, server.certificate.reload if server.certificate else None), unwrapped():
        await server.run(on_ready)


async def load_and_serve(
    config: Config,
    house: House,
    load: Loading,
    *,
    on_ready: Callable[[int], None] | None = None,
    make_vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
) -> None:
    """Load the model, then serve as `serve` does; those of its ports that can are open from the beginning.

    A signal that comes while the model is loaded ends that, and the daemon. `house` is what can be said of the model
    before. Raises what `load` raises, and what `serve` does.
    """
    stage = Stage()
    ports = Ports(config, house, Doors(config, os.environ))
    try:
        with signals(stage.stop, stage.reload if config.server.tls_certificate else None), unwrapped():
            async with asyncio.TaskGroup() as group:
                group.create_task(ports.run())
                with unwrapped():
                    async with AsyncExitStack() as stack:
                        async with stage.loading.interrupts():
                            recognizer = await stack.enter_async_context(load())
                        if stage.loading.asked.is_set():
                            logger.info("stopped before the model was loaded")
                            ports.end()
                            return
                        stage.server = Server(config, recognizer, os.environ, make_vad, ports=ports)
                        await stage.server.run(on_ready)
    finally:
        ports.close()


class Stage:
    """Where a daemon is in its life, and so what a signal means to it."""

    def __init__(self) -> None:
        self.loading = Stop()
        self.server: Server | None = None

    def stop(self) -> None:
        """End the server if there is one, else the loading."""
        if self.server is None:
            self.loading.ask()
        else:
            self.server.stop()

    def reload(self) -> None:
        """Read the certificate again, if it has been read at all."""
        if self.server is not None and self.server.certificate is not None:
            self.server.certificate.reload()
