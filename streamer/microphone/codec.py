"""What the messages of a `MicrophoneWire` mean: sound, audio that is missing, and warnings for those who watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec
import numpy as np

from model.types import Samples
from streamer.capture.microphone import DeviceLost, DeviceNotice, DeviceOpened, Overflowed
from streamer.core.commands import Audio, Command, Configure, Message, Missing, ProtocolError, Warn
from streamer.core.events import Event

DECODER: msgspec.json.Decoder[DeviceNotice] = msgspec.json.Decoder(DeviceNotice)


class MicrophoneCodec:
    """One session of the microphone; says nothing, for nobody would hear it there."""

    def __init__(self, wishes: Configure) -> None:
        """`wishes` as the settings have them."""
        self._wishes = wishes
        self._away = ""  # why the device was lost, until it is back

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a capture means."""
        if isinstance(message, bytes):
            yield Audio(np.frombuffer(message, np.float32))
            return
        match DECODER.decode(message):
            case Overflowed(samples):
                yield Missing(samples, "sound was not taken in time")
            case DeviceLost(reason):
                self._away = reason
                yield Warn("microphone_lost", reason)
                yield Missing(0, reason)
            case DeviceOpened(name, missing):
                if self._away:
                    yield Warn("microphone_back", f"recording {name}")
                yield Missing(missing, f"no microphone: {self._away}")
                self._away = ""
            case unreachable:
                assert_never(unreachable)

    def leftover(self) -> Iterator[Samples]:
        """Yield nothing: nothing is held back."""
        yield from ()

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing."""
        del session
        yield from ()

    def encode(self, event: Event) -> Iterator[Message]:
        """Say nothing."""
        del event
        yield from ()

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say nothing."""
        del error
        yield from ()

    def opening(self) -> Configure | None:
        """Return what the settings want."""
        return self._wishes

    def closing(self, close: int, error: ProtocolError | None) -> tuple[int, str]:
        """Return the code as it is."""
        del error
        return int(close), ""
