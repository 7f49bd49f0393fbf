"""How a session goes on over another connection: what a client claims, and where the two sides count. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from model.types import SAMPLE_RATE
from streamer.core.commands import Claim
from streamer.protocols import messages

MOST = 2**48
"""Frames and commits that a client may claim: a hundred years and more, and every number made of it fits everywhere."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a client needs to come back, and where it goes on."""

    session: str
    token: str
    epoch: str
    resume_from: int
    """The frame that is to be sent next."""


def claimed(resume: messages.Resume) -> Claim:
    """Return what a message claims; what is below zero is nothing."""
    have, covered, first = max(0, resume.have), max(0, resume.covered), max(0, resume.first)
    return Claim(resume.session, resume.token, resume.epoch, have, covered, first)


class Offsets:
    """Places in a stream, in the client's frames and in our samples. Both are counted from the start of the stream."""

    def __init__(self, rate: int) -> None:
        """`rate` of the client in hertz."""
        self._rate = rate

    def samples(self, frames: int) -> int:
        """Return the sample index nearest to a frame: what a resampler has put out after so many frames."""
        return (2 * frames * SAMPLE_RATE + self._rate) // (2 * self._rate)

    def frames(self, samples: int) -> int:
        """Return the last frame that does not lie behind a sample index."""
        return samples * self._rate // SAMPLE_RATE
