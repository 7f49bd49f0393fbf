"""What the decoder is told before it listens: prompt, language, task, committed words, and a guess at the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from model.rows import DecodeRow
from model.types import SAMPLE_RATE, SAMPLES_PER_TIMESTAMP, WINDOW_SAMPLES, DecodeRequest, Segment
from model.vocabulary import Vocabulary

LAST_STEP = WINDOW_SAMPLES // SAMPLES_PER_TIMESTAMP
"""1500: <|30.00|>."""
TOKENS_PER_SECOND = 20
"""More than any language needs, several times what English does; a loop on short audio is cut here."""
SPARE_TOKENS = 20
"""Beyond that, for timestamps and for very short audio."""
REPEATED_PER_SECOND = 12
"""Tokens of one repeated phrase that nobody can say in a second, over the whole of the audio."""
LEAST_NEW = 64
"""Positions that a prompt never takes from the new text."""


class PromptBuilder:
    """Turns requests into rows of tokens that fit the decoder."""

    def __init__(self, tokenizer: Vocabulary, positions: int = 448) -> None:
        """positions: tokens the decoder can hold, max_target_positions."""
        self._tokenizer = tokenizer
        self._positions = positions
        self._prompt_limit = positions // 2 - 1

    def row(
        self,
        request: DecodeRequest,
        language: str | None,
        *,
        prompted: bool = True,
        drafted: bool = True,
        seed: int = 0,
    ) -> DecodeRow:
        """Build the row of a request.

        language: what was asked for or detected; prompted and drafted: whether prompt and draft are used.
        Raises ValueError if the prefix leaves no room for new text, or for a language or task the model does not have.
        """
        sot = self._tokenizer.sot_sequence(language, request.task)
        prefix, draft = self.window_tokens(request)
        room = self._positions - len(sot) - len(prefix)
        limit = min(room, token_limit(request))
        if limit < 1:
            most = self._positions - len(sot) - 1
            raise ValueError(f"prefix must take at most {most} tokens, got {len(prefix)}")
        # The reference gives new text half of all positions; what is forced has had its share already.
        reserve = min(limit, max(self._positions // 2 - len(prefix), LEAST_NEW))
        prompt = self._prompt(request, room - reserve - 1) if prompted else ()
        head = (self._tokenizer.startofprev, *prompt, *sot) if prompt else sot
        limit = min(limit, self._positions - len(head) - len(prefix))
        return DecodeRow(
            head, len(head) - len(sot), prefix, draft if drafted else (), limit, repetition_limit(request), seed
        )

    def window_tokens(self, request: DecodeRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return prefix and draft as tokens with timestamps of the window.

        Times outside the window are moved to its ends, and none goes back before the one before it.
        """
        writer = _Writer(self._tokenizer.timestamp_begin, request.start)
        prefix = writer.write(request.prefix)
        return prefix, writer.write(request.draft)

    def _prompt(self, request: DecodeRequest, room: int) -> tuple[int, ...]:
        """Return context and earlier text, at most `room` tokens; the earlier text gives way on its left first."""
        room = min(room, self._prompt_limit)
        context = self._tokenizer.encode(f" {request.context.strip()}") if request.context.strip() else ()
        context = self._last_words(context, room // 2 if request.prompt else room)
        return context + self._last_words(request.prompt, room - len(context))

    def _last_words(self, tokens: tuple[int, ...], room: int) -> tuple[int, ...]:
        """Return as many whole words from the end of `tokens` as fit."""
        if len(tokens) <= room:
            return tokens
        kept = tokens[-room:] if room > 0 else ()
        words = self._tokenizer.split_words(kept)
        # The first may have lost its start to the cut, unless it brings its own space, or nothing here has spaces.
        if len(words) > 1 and not words[0][0].startswith(" "):
            return kept[len(words[0][1]) :]
        return kept


class _Writer:
    """Writes segments as tokens, remembering where the text before them stopped."""

    def __init__(self, timestamp_begin: int, start: int) -> None:
        self._begin = timestamp_begin
        self._start = start
        self._step = 0
        self._open = False

    def write(self, segments: Iterable[Segment]) -> tuple[int, ...]:
        """Return the tokens of segments; the first continues what was left open."""
        tokens: list[int] = []
        for index, segment in enumerate(segments):
            if self._open and index:  # only the last segment may be open: close this one where the next begins
                tokens.append(self._stamp(segment.start))
                self._open = False
            if not self._open:
                if not segment.words and segment.end is not None:
                    continue
                tokens.append(self._stamp(segment.start))
            tokens += [token for word in segment.words for token in word.tokens]
            self._open = segment.end is None
            if segment.end is not None:
                tokens.append(self._stamp(segment.end))
        return tuple(tokens)

    def _stamp(self, time: int) -> int:
        """Return the timestamp token nearest to an absolute time."""
        step = round((time - self._start) / SAMPLES_PER_TIMESTAMP)
        self._step = min(max(step, self._step), LAST_STEP)
        return self._begin + self._step


def token_limit(request: DecodeRequest) -> int:
    """Return how many tokens the audio after the prefix can hold."""
    return ceil(TOKENS_PER_SECOND * seconds_after(request, request.prefix)) + SPARE_TOKENS


def repetition_limit(request: DecodeRequest) -> int:
    """Return how many tokens of one repeated phrase the audio after the prefix can hold."""
    return ceil(REPEATED_PER_SECOND * seconds_after(request, request.prefix)) + REPEATED_PER_SECOND // 2


def seconds_after(request: DecodeRequest, prefix: Sequence[Segment]) -> float:
    """Return how much audio of the window comes after the forced words."""
    said = max((word.end for segment in prefix for word in segment.words), default=request.start)
    return max(0, request.end - max(said, request.start)) / SAMPLE_RATE
