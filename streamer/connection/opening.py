"""The wait for what a client wants: its first command, which must come in time."""

from __future__ import annotations

from streamer.connection.ending import cut_short
from streamer.connection.patience import Patience
from streamer.connection.wire import Wire
from streamer.core.commands import Close, Codec, Configure, ErrorCode, ProtocolError


class Opening:
    """How one connection begins."""

    def __init__(self, wire: Wire, codec: Codec, timeout_s: float) -> None:
        """`timeout_s`: how long the first command may take."""
        self._wire = wire
        self._codec = codec
        self._timeout_s = timeout_s
        self._patience = Patience()
        self.cancelled = False
        """Whether no session may be opened any more."""

    def cancel(self) -> None:
        """Wait no longer: the server ends."""
        self.cancelled = True
        self._patience.shorten(0)

    async def configure(self) -> Configure:
        """Return what the client wants. Raises ProtocolError if it does not say so in time, Disconnected if it goes."""
        return self._codec.opening() or await self._first_command()

    async def _first_command(self) -> Configure:
        try:
            async with self._patience.limited(self._timeout_s):
                while True:
                    for command in self._codec.decode(await self._wire.receive()):
                        assert isinstance(command, Configure), "a codec yields Configure first"
                        return command
        except TimeoutError:
            if self.cancelled:
                raise cut_short() from None
            complaint = f"the first message must come within {self._timeout_s:g} s"
            raise ProtocolError(ErrorCode.OPEN_TIMEOUT, complaint, Close.NOT_ALLOWED) from None
