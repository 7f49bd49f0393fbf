"""An upload as sound, and what its sender is told when it is none.

The file is decoded by a process of its own (`streamer/decoding`): measured to its end before anything is promised, and
then read again, block by block, as recognition goes on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager

from model.types import Samples
from streamer.decoding.decoder import Decoder
from streamer.decoding.losses import DecoderLostError
from streamer.decoding.messages import Objection, UnfitError
from streamer.http.errors import ApiError, invalid
from streamer.http.form import FILE

TOO_MUCH = frozenset({Objection.LONG, Objection.COSTLY})


class Recording:
    """One file, which its decoder has received."""

    def __init__(self, decoder: Decoder) -> None:
        """Whoever has started the decoder ends it."""
        self._decoder = decoder

    async def measure(self) -> int:
        """Return its length in samples at 16 kHz. Raises ApiError for what cannot be decoded within the limits."""
        with explained():
            return await self._decoder.measure()

    async def blocks(self) -> AsyncGenerator[Samples]:
        """Yield it as float32 at 16 kHz, a second at a time, after `measure`. Raises as that does."""
        with explained():
            async with aclosing(self._decoder.blocks()) as blocks:
                async for block in blocks:
                    yield block


@contextmanager
def explained() -> Generator[None]:
    """Tell the sender of a file what is wrong with it."""
    try:
        yield
    except UnfitError as error:
        raise ApiError(
            413 if error.objection in TOO_MUCH else 400, str(error.objection), error.message, param=FILE
        ) from None
    except DecoderLostError as error:  # it has been logged
        raise invalid(FILE, f"the decoder could not cope with the file: {error.loss.detail}") from None
