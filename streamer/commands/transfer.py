"""Push audio into a stream and show what comes back, at the same time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Protocol, TypeAlias

import numpy as np

from clients.captions import Display
from clients.errors import ConnectionLost
from clients.received import FromServer
from model.types import SAMPLE_RATE, Samples
from streamer.capture.microphone import Captured, DeviceLost, DeviceOpened, Microphone, Overflowed
from streamer.protocols.messages import Flush
from streamer.signals import handled

LONGEST_SILENCE = 30 * SAMPLE_RATE
"""Of audio that was lost at most this much is replaced by silence; it keeps words apart and times right."""

KEEP_ALIVE_S = 30.0
"""A microphone may be away for long; a server closes a connection on which it hears nothing for minutes."""

SAME_S = 0.5
"""`timeout` sends a signal to its child and to the child's group: what comes so soon is the first one again."""

Sound: TypeAlias = Samples | Flush
"""Samples, or a place where everything before shall be decided."""


class AudioStream(Protocol):
    """Where audio goes and messages come from: a connection, or a recognizer in this process."""

    async def send_audio(self, audio: Samples) -> None:
        """Take the next samples; wait while the recognizer is behind."""
        ...

    async def flush(self, marker: str = "") -> None:
        """Decide everything so far."""
        ...

    async def stop(self) -> None:
        """End the stream."""
        ...

    def __aiter__(self) -> AsyncIterator[FromServer]:
        """Iterate messages up to Done."""
        ...


async def transfer(
    stream: AudioStream, audio: AsyncIterable[Sound], display: Display, stop: asyncio.Event | None = None
) -> None:
    """Send `audio` until it ends or `stop` is set, then end the stream; show every message until it is done.

    Raises what the stream and the audio raise, in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(stream, audio, stop or asyncio.Event()))
        async for message in stream:
            display.show(message)
        sending.cancel()  # a server that shuts down says done before all was sent


async def _send(stream: AudioStream, audio: AsyncIterable[Sound], stop: asyncio.Event) -> None:
    with suppress(ConnectionLost):  # the reader of the messages hears why
        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(_push(stream, audio))
            stopped = tasks.create_task(stop.wait())
            keeping = tasks.create_task(_keep_alive(stream))
            await asyncio.wait((pushing, stopped), return_when=asyncio.FIRST_COMPLETED)
            for task in (pushing, stopped, keeping):
                task.cancel()
        await stream.stop()


async def _push(stream: AudioStream, audio: AsyncIterable[Sound]) -> None:
    with suppress(ConnectionLost):
        async for sound in audio:
            if isinstance(sound, Flush):
                await stream.flush(sound.id)
            else:
                await stream.send_audio(sound)


async def _keep_alive(stream: AudioStream) -> None:
    with suppress(ConnectionLost):
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await stream.send_audio(np.zeros(0, dtype=np.float32))


async def sounds_of(microphone: Microphone, display: Display) -> AsyncGenerator[Sound, None]:
    """Turn what a microphone yields into audio; say on the display what happens to it."""
    async with aclosing(microphone.capture()) as captures:
        async for capture in captures:
            match capture:
                case Captured(samples):
                    yield samples
                case Overflowed(count):
                    display.notice(f"{count / SAMPLE_RATE:.1f} s of sound were lost: recognition is too slow here")
                    yield np.zeros(min(count, LONGEST_SILENCE), dtype=np.float32)
                case DeviceOpened(name):
                    display.notice(f"listening to {name}")
                case DeviceLost(reason):
                    display.notice(f"the microphone is gone, waiting for it: {reason}")
                    yield Flush("microphone lost")


@contextmanager
def interrupted() -> Iterator[asyncio.Event]:
    """Set the event at the first Ctrl-C or SIGTERM, so that the stream ends well; a second one breaks off."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    began = 0.0

    def stop() -> None:
        nonlocal began
        if event.is_set():
            if loop.time() - began < SAME_S:
                return
            raise KeyboardInterrupt  # what Python makes of a second Ctrl-C by itself
        event.set()
        began = loop.time()
        loop.remove_signal_handler(signal.SIGINT)

    with handled({signal.SIGINT: stop, signal.SIGTERM: stop}):
        yield event
