"""What a client wants changed while its stream goes on: each wish holds from the speech that begins after it."""

from __future__ import annotations

from collections import deque

from streamer.core.commands import Configure


class Wishes:
    """Wishes that wait for their utterance, so that neither the network nor the recognizer's pace moves them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Configure]] = deque()

    def add(self, utterance: int, configure: Configure) -> None:
        """Let a wish hold from utterance number `utterance` on; it replaces an earlier one for the same."""
        if self._waiting and self._waiting[-1][0] == utterance:
            self._waiting.pop()
        self._waiting.append((utterance, configure))

    def take(self, utterance: int) -> Configure | None:
        """Return the newest wish that holds for utterance number `utterance`, once; None if nothing changed."""
        newest = None
        while self._waiting and self._waiting[0][0] <= utterance:
            _, newest = self._waiting.popleft()
        return newest
