"""Words that are safe at first sight, by where the decoder looked when it wrote them.

Theory of operation. A second hypothesis is waited for because more audio may change what a word is. A word whose
cross-attention lies well before the end of the audio does not depend on what is still to come, and if the decoder was
sure of it as well, a second opinion would be the same. Such words are committed at once, in order, behind what two
hypotheses agree on; the first word that does not pass waits for agreement, and so do all after it, because a commit can
only append.

Source: Papi et al. 2023 (AlignAtt), where attention alone decides. Here it only saves the wait: heads that look too
early would cut words, and models with few decoder layers have such heads.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.types import SAMPLES_PER_TIMESTAMP, Word
from streamer.core.commit import CommitPolicy, normalise


class AttentionGuard:
    """Commits what another policy commits, and behind it words that are sure at first sight."""

    def __init__(self, patient: CommitPolicy, distance: int, probability: float) -> None:
        """patient: decides on the words that are not sure.

        distance: samples by which a sure word's attention lies before the end of the audio, at least; probability: of a
        sure word, at least.
        """
        self._patient = patient
        self._distance = distance
        self._probability = probability

    def update(self, tail: Sequence[Word], heard: int) -> int:
        """Return how many words to commit; see CommitPolicy."""
        agreed = count = self._patient.update(tail, heard)
        while count < len(tail) and self._is_sure(tail[count], heard):
            count += 1
        self._patient.skip(count - agreed)
        return count

    def skip(self, count: int) -> None:
        """Pass on that more words were committed for another reason."""
        self._patient.skip(count)

    def finish(self, tail: Sequence[Word]) -> int:
        """Commit what the patient policy does."""
        return self._patient.finish(tail)

    def _is_sure(self, word: Word, heard: int) -> bool:
        """Say whether a word may be committed at first sight."""
        if word.attended is None or not normalise(word.text):  # a mark alone may become part of the next word
            return False
        if word.end - word.start <= SAMPLES_PER_TIMESTAMP:  # it has no audio of its own: loops are made of such words
            return False
        return word.attended <= heard - self._distance and word.probability >= self._probability
