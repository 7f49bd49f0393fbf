"""What the decoder is told before it listens: prompt, language, task, committed words, and a guess at the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from model.decoding.density import token_density
from model.decoding.rows import DecodeRow
from model.types import SAMPLE_RATE, SAMPLES_PER_TIMESTAMP, WINDOW_SAMPLES, DecodeRequest, Segment
from model.vocabulary import Vocabulary

LAST_STEP = WINDOW_SAMPLES // SAMPLES_PER_TIMESTAMP
"""1500: <|30.00|>."""
TOKENS_PER_SECOND = 20
"""Several times what English needs; a loop on short audio is cut here."""
SPARE_TOKENS = 20
"""Beyond that, for timestamps and for very short audio."""
SPARED_PER_SECOND, SPARED_BEYOND = 8, 8
"""The same where the encoder was shown less than 30 s, which makes decoders run on, or did not compute all of it: text
that needs more is decoded with all, and no stream waits long for another's runaway."""
REPEATED_PER_SECOND = 12
"""Tokens of one repeated phrase that nobody can say in a second of English, over the whole of the audio."""
GUESSED_PAUSE = SAMPLE_RATE // 5
"""Samples from the end of one segment to the guessed start of the next. What the decoder would say after a timestamp
that is a little off it mostly says after the right one, so that the word behind it becomes a guess of the next pass."""
LEAST_NEW = 64
"""Positions that a prompt never takes from the new text."""


class PromptBuilder:
    """Turns requests into rows of tokens that fit the decoder."""

    def __init__(self, tokenizer: Vocabulary, positions: int = 448, *, earlier: bool = True) -> None:
        """positions: tokens the decoder can hold, max_target_positions; earlier: whether it is told earlier text."""
        self._earlier = earlier
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
        spared: bool = False,
        seed: int = 0,
    ) -> DecodeRow:
        """Build the row of a request.

        language: what was asked for or detected; prompted and drafted: whether prompt and draft are used; spared:
        whether the encoder did less than it could, see `token_limit`.
        Raises ValueError if the prefix leaves no room for new text, or for a language or task the model does not have.
        """
        sot = self._tokenizer.sot_sequence(language, request.task)
        prefix, draft = self.window_tokens(request)
        room = self._positions - len(sot) - len(prefix)
        limit = min(room, token_limit(request, language, spared=spared))
        if limit < 1:
            most = self._positions - len(sot) - 1
            raise ValueError(f"prefix must take at most {most} tokens, got {len(prefix)}")
        # The reference gives new text half of all positions; what is forced has had its share already.
        reserve = min(limit, max(self._positions // 2 - len(prefix), LEAST_NEW))
        prompt = self._prompt(request, room - reserve - 1) if prompted else ()
        head = (self._tokenizer.startofprev, *prompt, *sot) if prompt else sot
        limit = min(limit, self._positions - len(head) - len(prefix))
        repeated = repetition_limit(request, language)
        return DecodeRow(head, len(head) - len(sot), prefix, draft if drafted else (), limit, repeated, seed)

    def window_tokens(self, request: DecodeRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return prefix and draft as tokens with timestamps of the window.

        Times outside the window are moved to its ends, and none goes back before the one before it.
        """
        writer = _Writer(self._tokenizer.timestamp_begin, request.start)
        prefix = writer.write(request.prefix)
        return prefix, (*writer.write(request.draft), *writer.guess())

    def _prompt(self, request: DecodeRequest, room: int) -> tuple[int, ...]:
        """Return context and earlier text, at most `room` tokens; the earlier text gives way on its left first."""
        room = min(room, self._prompt_limit)
        context = self._tokenizer.encode(f" {request.context.strip()}") if request.context.strip() else ()
        earlier = request.prompt if self._earlier else ()
        context = self._last_words(context, room // 2 if earlier else room)
        return context + self._last_words(earlier, room - len(context))

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

    def guess(self) -> tuple[int, ...]:
        """Return, where the next token begins a segment, when that may be; nothing at the end of the window.

        Without text yet it is the start of the window: right for silence, and for speech that fills the window.
        """
        step = self._step + GUESSED_PAUSE // SAMPLES_PER_TIMESTAMP if self._step else 0
        return () if self._open or step > LAST_STEP else (self._begin + step,)

    def _stamp(self, time: int) -> int:
        """Return the timestamp token nearest to an absolute time."""
        step = round((time - self._start) / SAMPLES_PER_TIMESTAMP)
        self._step = min(max(step, self._step), LAST_STEP)
        return self._begin + self._step


def token_limit(request: DecodeRequest, language: str | None = None, *, spared: bool = False) -> int:
    """Return how many tokens the audio after the prefix can hold.

    spared: how many it will hold but for rare text, which is decoded again.
    """
    rate, spare = (SPARED_PER_SECOND, SPARED_BEYOND) if spared else (TOKENS_PER_SECOND, SPARE_TOKENS)
    return token_density(language) * (ceil(rate * seconds_after(request, request.prefix)) + spare)


def repetition_limit(request: DecodeRequest, language: str | None = None) -> int:
    """Return how many tokens of one repeated phrase the audio after the prefix can hold."""
    heard = REPEATED_PER_SECOND * seconds_after(request, request.prefix)
    return token_density(language) * (ceil(heard) + REPEATED_PER_SECOND // 2)


def seconds_after(request: DecodeRequest, prefix: Sequence[Segment]) -> float:
    """Return how much audio of the window comes after the forced words."""
    said = max((word.end for segment in prefix for word in segment.words), default=request.start)
    return max(0, request.end - max(said, request.start)) / SAMPLE_RATE
