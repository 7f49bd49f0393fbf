"""All decoders of one server: one for each file, and at most one spare, which is started before it is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO

from prometheus_client import CollectorRegistry, Counter

from streamer import logs
from streamer.decoding.decoder import DECODER, Decoder, Limits
from streamer.decoding.losses import Cause, DecoderLostError

logger = logging.getLogger(__name__)


class Decoders:
    """Gives a file a decoder of its own. `run` keeps the spare; without it every file waits for a new process."""

    def __init__(self, registry: CollectorRegistry, command: Sequence[str] = DECODER) -> None:
        """`registry` takes what is counted; `command` becomes a decoder, see `streamer.decoding.host.main`."""
        self._command = command
        self._spare: Decoder | None = None
        self._wanted = asyncio.Event()
        self._lost = Counter(
            "streamer_decoders_lost", "Decoders of recordings that were lost, by cause", ["cause"], registry=registry
        )
        for cause in Cause:
            self._lost.labels(cause)

    @property
    def spare(self) -> int | None:
        """Number of the spare's process, if there is one."""
        return self._spare.pid if self._spare else None

    def prepare(self) -> None:
        """Have a decoder at hand soon: a file is coming in, perhaps while another is decoded."""
        if self._spare is None:
            self._wanted.set()

    async def run(self) -> None:
        """Keep a spare from the first file on, for ever; it ends with this.

        One that dies is not replaced before the next file comes: what ended it may end all of them.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._wanted.wait()
                    self._wanted.clear()
                    if self._spare is None and (spare := await self._started()):
                        self._spare = spare
                        group.create_task(self._watch(spare))
        finally:
            if spare := self._taken():
                await spare.end()

    @asynccontextmanager
    async def decoding(self, file: BinaryIO, limits: Limits) -> AsyncGenerator[Decoder]:
        """Have a file, which has a descriptor, decoded; the decoder has received it, and ends with the block.

        Raises OSError, DecoderLostError if there is none to be had.
        """
        try:
            if spare := self._taken():
                async with self._kept(spare):
                    if await begins(spare, file, limits):
                        yield spare
                        return
            async with self._kept(await Decoder.start(self._command)) as decoder:
                await decoder.begin(file, limits)
                yield decoder
        finally:
            self._wanted.set()  # not before: the start of the next one would delay what is heard in this file

    def _taken(self) -> Decoder | None:
        spare, self._spare = self._spare, None
        return spare

    async def _started(self) -> Decoder | None:
        try:
            return await Decoder.start(self._command)
        except OSError as error:
            logger.warning("no spare decoder can be started: %s", error)
            return None

    async def _watch(self, spare: Decoder) -> None:
        """Notice if it ends while it is the spare."""
        await spare.wait()
        if self._spare is spare:
            self._spare = None
            spare.die()
            async with self._kept(spare):
                pass

    @asynccontextmanager
    async def _kept(self, decoder: Decoder) -> AsyncGenerator[Decoder]:
        """End a decoder with the block, and tell if it was lost."""
        try:
            yield decoder
        finally:
            await decoder.end()
            if loss := decoder.loss:
                self._lost.labels(loss.cause).inc()
                message = f"a decoder of recordings was lost: {loss.detail}"
                logs.tell(logger, logging.WARNING, message, {"cause": loss.cause}, traceback=loss.story)


async def begins(decoder: Decoder, file: BinaryIO, limits: Limits) -> bool:
    """Hand it its file; say whether it has taken it."""
    try:
        await decoder.begin(file, limits)
    except DecoderLostError:
        return False
    return True
