"""The daemon's own microphone: a session like any other, without a socket and without a client.

Theory of operation. A process records (`capture/`); a `Connection` with a wire and a codec of the microphone's own runs
the session, named `microphone`, as it runs every other, and whoever watches that name sees its captions. The device may
be missing, go, hang and come back: the session goes on, what was not recorded is a gap. A session that fails all the
same is followed by another. Only the daemon's end is its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Protocol, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge

from model.types import SAMPLE_RATE, ModelCard
from streamer.capture.microphone import Capture, Captured, DeviceLost, DeviceOpened, Microphone, Overflowed
from streamer.config import ConfigError, MicrophoneConfig
from streamer.connection.admission import Admission
from streamer.connection.connection import Connection
from streamer.connection.wire import Wire
from streamer.core.commands import Codec, Configure
from streamer.core.hotwords import with_hotwords
from streamer.logs import SESSION
from streamer.microphone.codec import MicrophoneCodec
from streamer.microphone.wire import MicrophoneWire

logger = logging.getLogger(__name__)

NAME = "microphone"
"""Of its session."""
AGAIN_S = 1.0
"""Before another session, after one has failed; twice as long after each that fails too."""
LONGEST_AGAIN_S = 30.0


class State(StrEnum):
    """Whether the device is heard."""

    WAITING = "waiting"
    RECORDING = "recording"


class Source(Protocol):
    """What records."""

    def capture(self) -> AsyncGenerator[Capture, None]:
        """Yield what is recorded and what happens to the device, for ever."""
        ...


def default_source(device: str | None) -> Source:
    """Return the microphone that records in a process of its own, and may be missing."""
    return Microphone(device, required=False)


class OwnMicrophone:
    """Runs the microphone's session for as long as the daemon serves."""

    def __init__(
        self,
        *,
        config: MicrophoneConfig,
        admission: Admission,
        connect: Callable[[Wire, str, Codec, str], Connection],
        registry: CollectorRegistry,
        make_source: Callable[[str | None], Source] = default_source,
    ) -> None:
        """`connect` makes the connection for a wire, a session's name, a codec and its protocol's name."""
        self.state = State.WAITING
        self._config = config
        self._admission = admission
        self._connect = connect
        # One for all sessions: it learns the name of a device asked for by a number, which may be another's later.
        self._source = make_source(config.device or None)
        self._overflowed = False
        recording = Gauge("streamer_microphone_recording", "1 while the own microphone is heard", registry=registry)
        recording.set_function(lambda: float(self.state is State.RECORDING))
        self._losses = Counter(
            "streamer_microphone_losses", "Times the own microphone was lost or not there", registry=registry
        )

    async def run(self) -> None:
        """Run one session, and another where one has failed, until the daemon drains."""
        SESSION.set(NAME)
        pause = AGAIN_S
        clock = asyncio.get_running_loop().time
        while not self._admission.draining:
            begun = clock()
            await self._run_session()
            if clock() - begun > LONGEST_AGAIN_S:
                pause = AGAIN_S
            self.state = State.WAITING
            if self._admission.draining:
                return
            logger.error("the microphone's session has failed; another follows in %g s", pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_AGAIN_S)

    async def _run_session(self) -> None:
        async with aclosing(self._source.capture()) as captures:
            wire = MicrophoneWire(captures, self._note)
            connection = self._connect(wire, NAME, MicrophoneCodec(wishes(self._config)), NAME)
            # It asks nobody: the box's own microphone goes before those who come over the network.
            with self._admission.admitted(connection):
                await connection.run()

    def _note(self, capture: Capture) -> None:
        """Log and count what happens to the device, each thing once."""
        match capture:
            case Captured():
                pass
            case DeviceOpened(name, missing):
                self.state = State.RECORDING
                self._overflowed = False
                logger.info("recording %s", name, extra={"missing_s": missing / SAMPLE_RATE})
            case DeviceLost(reason):
                self.state = State.WAITING
                self._losses.inc()
                logger.warning("no microphone, it is waited for: %s", reason)
            case Overflowed(samples):
                if not self._overflowed:
                    lost_s = samples / SAMPLE_RATE
                    logger.warning("sound was lost; more of it is only counted", extra={"lost_s": lost_s})
                self._overflowed = True
            case unreachable:
                assert_never(unreachable)


def wishes(config: MicrophoneConfig) -> Configure:
    """Return what the settings want of the session."""
    return Configure(
        language=config.language or None,
        languages=config.languages,
        task=config.task,
        context=with_hotwords(config.prompt, config.hotwords),
    )


def check_wishes(config: MicrophoneConfig, card: ModelCard) -> None:
    """Raise ConfigError for what the model does not have, if there is a microphone."""
    if not config.enabled:
        return
    allowed = ", ".join(sorted(card.languages))
    for name, code in [("language", config.language), *(("languages", code) for code in config.languages)]:
        if code and code not in card.languages:
            raise ConfigError(f"microphone.{name} must be of {allowed}, got {code!r}")
    if config.language and config.languages and config.language not in config.languages:
        raise ConfigError(f"microphone.language must be one of microphone.languages, got {config.language!r}")
    if config.task not in card.tasks:
        raise ConfigError(f"microphone.task must be one of {', '.join(card.tasks)}, got {config.task}")
