"""Batches that do not fit into memory, in halves."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence

from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.worker.trouble import Trouble, trouble_of

logger = logging.getLogger(__name__)

BATCHES_UNTIL_MORE = 100
"""Without trouble, before twice as many rows are tried again."""


class Halving:
    """Asks a recognizer for no more at once than has fitted into memory."""

    def __init__(self, recognizer: Recognizer) -> None:
        """Begin without a limit."""
        self._recognizer = recognizer
        self._most: int | None = None
        self._quiet = 0

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in as many batches as it takes.

        Raises what the recognizer raises; for lack of memory only if a single row did not fit.
        """
        answers: list[Hypothesis] = []
        while len(answers) < len(batch):
            part = batch[len(answers) :][: self._most]
            found = self._attempt(part)
            if found is None:
                self._most, self._quiet = len(part) // 2, 0
                logger.warning("a batch of %d did not fit into memory; %d are tried", len(part), self._most)
                free()
            else:
                answers += found
        return answers

    def _attempt(self, part: Sequence[DecodeRequest]) -> list[Hypothesis] | None:
        """Return the answers, or None if there was not enough memory for several rows.

        A function of its own, for the traceback of the error would keep the memory of the call.
        """
        try:
            found = self._recognizer.transcribe(part)
        except Exception as error:
            if trouble_of(error) is Trouble.MEMORY and len(part) > 1:
                return None
            raise
        if len(found) != len(part):
            raise RuntimeError(f"the recognizer answered {len(found)} of {len(part)} requests")
        self._relax()
        return found

    def _relax(self) -> None:
        """Try more at once after a while: the memory may have been somebody else's."""
        self._quiet += 1
        if self._most is not None and self._quiet >= BATCHES_UNTIL_MORE:
            self._most, self._quiet = self._most * 2, 0


def free() -> None:
    """Give back what is cached; of torch only if it is loaded."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
