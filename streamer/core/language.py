"""Which language a stream is in, when the recognizer finds it out: hysteresis between utterances.

Theory of operation. A session has a language once there is evidence: a detection that is sure, two in a row that agree,
or a text that was committed. At the start of each utterance the language is detected anew, at every update, until words
are committed; the rest of the utterance keeps their language. A detection other than the session's language replaces it
if it is sure, or if two updates in a row say the same. Otherwise the update is asked again in the session's language:
short audio sounds like many languages, and a conversation does not change its own at every breath.

Evidence is counted by audio, not by answers: asking twice about the same audio is one piece of evidence, so that what
follows from it does not depend on how quick the recognizer is.
"""

from __future__ import annotations

SURE = 0.8
"""Probability of a detection, among the languages that are allowed, above which it needs no second one."""
WINS = 2
"""Updates in a row that say the same language."""


class LanguageTracker:
    """The language of one stream; pure."""

    def __init__(self, fixed: str | None = None) -> None:
        """Start knowing nothing, or, with `fixed`, everything: what a client has said is never doubted."""
        self.current = fixed
        """The stream's language; None until there is evidence."""
        self._fixed = fixed is not None
        self._rival: str | None = None
        self._wins = 0
        self._counted = -1
        self._insisting = False

    def wanted(self, committed: str | None) -> str | None:
        """Return the language to ask for next, None for detection.

        committed: language of what was committed in the utterance.
        """
        if self._fixed or self._insisting:
            return self.current
        return committed

    def accepts(self, language: str, probability: float | None, end: int) -> bool:
        """Take the language of a hypothesis; say whether it may stand. If not, it is to be asked for again.

        probability: of the detection, None if nothing was detected; end: sample index where the hypothesis' audio ends.
        """
        self._insisting = False
        if probability is None:
            return True
        if language == self.current:
            self._rival = None
            return True
        if language != self._rival:
            self._rival, self._wins, self._counted = language, 0, -1
        if end > self._counted:
            self._wins += 1
            self._counted = end
        if probability >= SURE or self._wins >= WINS:
            self.settle(language)
        elif self.current is not None:
            self._insisting = True
            return False
        return True

    def settle(self, language: str) -> None:
        """Make a language the stream's own: it was detected for certain, or text in it was committed."""
        if not self._fixed:
            self.current, self._rival, self._insisting = language, None, False
