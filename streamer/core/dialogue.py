"""One stream's talk with the recognizer: what is asked, what was answered, and what both know of each other.

One question at a time. What all questions of a stream have in common is kept here: who asks, the task, what the client
said about the audio, the language, and the text before the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.types import DecodeRequest, Hypothesis, Samples, Task, Word
from streamer.config import SessionConfig
from streamer.core.commands import Configure
from streamer.core.history import History
from streamer.core.language import LanguageTracker
from streamer.core.utterance import Utterance
from streamer.core.wishes import Wishes

FAILURES_UNTIL_GAP = 2
"""Times in a row that a request may fail before its audio is given up."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a client said of its audio and wants made of it; the fields are a request's."""

    language: str | None = None
    """None detects it anew in each utterance."""
    languages: tuple[str, ...] = ()
    """Empty for those of the settings."""
    task: Task = Task.TRANSCRIBE
    context: str = ""


class Dialogue:
    """Makes the requests of a stream and takes the answers; pure."""

    def __init__(self, stream: str, topic: Topic, config: SessionConfig) -> None:
        self._stream = stream
        self._topic = topic
        self._languages = config.languages
        self._language = LanguageTracker(topic.language)
        self._wishes = Wishes()
        self.history = History(config.prompt_tokens)
        """Committed words that have left the window."""
        self._in_flight: DecodeRequest | None = None
        self._discarded = False
        self._failures = 0

    @property
    def waiting(self) -> bool:
        """Whether a request has not been answered yet."""
        return self._in_flight is not None

    @property
    def language(self) -> str:
        """The stream's language; empty while it is not known."""
        return self._language.current or ""

    def ask(self, utterance: Utterance, audio: Samples) -> DecodeRequest:
        """Make the request for an utterance's window, whose audio begins at its `window_start`."""
        self._heed(utterance.number)
        end = utterance.window_start + len(audio)
        self._in_flight = DecodeRequest(
            stream=self._stream,
            start=utterance.window_start,
            audio=audio,
            prompt=self.history.tokens,
            context=self._topic.context,
            prefix=utterance.committed,
            draft=utterance.draft,
            earlier=utterance.earlier,
            language=self._language.wanted(utterance.language),
            languages=self._topic.languages or self._languages,
            task=self._topic.task,
            final=end == utterance.end,
        )
        return self._in_flight

    def receive(self, hypothesis: Hypothesis) -> bool:
        """Take the answer to the request in flight; say whether it stands, or the same is to be asked once more.

        Raises RuntimeError for an answer to anything else.
        """
        request = self._take()
        if (hypothesis.start, hypothesis.end) != (request.start, request.end):
            raise RuntimeError(
                f"hypothesis answers {hypothesis.start}..{hypothesis.end}, asked {request.start}..{request.end}"
            )
        self._failures = 0
        before = self.language
        stands = self._language.accepts(hypothesis.language, hypothesis.language_probability, hypothesis.end)
        self._change_language(before)
        return stands

    def receive_failure(self) -> DecodeRequest | None:
        """Take the news that there is no answer; return the request if it is to be given up, else None.

        Raises RuntimeError if no request is in flight.
        """
        request = self._take()
        self._failures += 1
        if self._failures < FAILURES_UNTIL_GAP:
            return None
        self._failures = 0
        return request

    def wish(self, utterance: int, configure: Configure) -> None:
        """Let a client's new wishes hold from utterance number `utterance` on."""
        self._wishes.add(utterance, configure)

    def discard(self) -> None:
        """Want no answer to the request in flight, if there is one."""
        self._discarded = self.waiting

    def drops(self) -> bool:
        """Say, once, whether the answer that has come is not wanted."""
        dropped, self._discarded = self._discarded, False
        if dropped:
            self._take()
            self._failures = 0
        return dropped

    def commit(self, utterance: Utterance, language: str) -> None:
        """Note that text in a language was committed: the rest of the utterance keeps it."""
        utterance.language = language
        before = self.language
        self._language.settle(language)
        self._change_language(before)

    def remember(self, departed: Sequence[Word]) -> None:
        """Add committed words that have left the window."""
        self.history.add(departed)

    def _heed(self, utterance: int) -> None:
        """Let the wish hold that was made before utterance number `utterance` began."""
        wish = self._wishes.take(utterance)
        if wish is None:
            return
        before, allowed = self.language, wish.languages or self._languages
        excluded = wish.language is None and before and allowed and before not in allowed
        if wish.language != self._topic.language or excluded:
            self._language = LanguageTracker(wish.language)
        self._topic = Topic(wish.language, wish.languages, wish.task, wish.context)
        self._change_language(before)

    def _change_language(self, before: str) -> None:
        """Forget what was said before a change of language: it would pull the decoder back."""
        if before and before != self.language:
            self.history.clear()

    def _take(self) -> DecodeRequest:
        if self._in_flight is None:
            raise RuntimeError("no request is in flight")
        request, self._in_flight = self._in_flight, None
        return request
