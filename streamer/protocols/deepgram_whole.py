"""What the channels of a Deepgram connection have in common: told once, behind the last word of any of them."""

from __future__ import annotations

from hashlib import sha256

from model.types import SAMPLE_RATE
from streamer.protocols.frames import Frame


class Whole:
    """One connection, of one channel or several."""

    def __init__(self, channels: int, request: str, opened_at: str, model: Frame) -> None:
        """`channels` are those that are streams of their own; mixed ones are one."""
        self._going_on = channels
        self._request = request
        self._opened_at = opened_at
        self._model = model
        self._hash = sha256()

    def hear(self, data: bytes) -> None:
        """Take audio as it came, from one of the channels."""
        self._hash.update(data)

    def is_last(self) -> bool:
        """Note that a channel is decided to its end, and say whether it was the last one."""
        self._going_on -= 1
        return not self._going_on

    def metadata(self, samples: int, channels: int) -> Frame:
        """Return what is told at the end of so many samples, of as many channels as the audio has."""
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request,
            "sha256": self._hash.hexdigest(),
            "created": self._opened_at,
            "duration": samples / SAMPLE_RATE,
            "channels": channels,
            "models": [self._model["name"]],
            "model_info": {self._model["name"]: self._model},
        }
