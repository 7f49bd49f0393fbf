"""What the native protocol says of each event."""

from __future__ import annotations

from typing import assert_never

import msgspec

from model.types import SAMPLE_RATE
from model.types import Word as HeardWord
from streamer.core import events
from streamer.protocols import messages

ENCODER = msgspec.json.Encoder()


def message_of(  # noqa: C901, PLR0911, PLR0912  # a table: one line an event
    event: events.Event, *, named: bool
) -> messages.ServerMessage | None:
    """Return the message for an event, if there is one; `named` says whether commits name their words."""
    match event:
        case events.SpeechStarted(utterance, start, lag):
            return messages.SpeechStarted(utterance, seconds(start), maybe_seconds(lag))
        case events.Partial(utterance, words, start, end, lag):
            return messages.Partial(utterance, words, seconds(start), seconds(end), maybe_seconds(lag))
        case events.Commit():
            return commit_message(event, named=named)
        case events.SpeechEnded(utterance=utterance, end=end, lag=lag):
            return messages.SpeechEnded(utterance, seconds(end), maybe_seconds(lag))
        case events.Final(utterance, words, start, end, language, lag):
            return messages.Final(utterance, words, seconds(start), seconds(end), language, maybe_seconds(lag))
        case events.Flushed(marker):
            return messages.Flushed(marker)
        case events.Marked():
            return None  # this protocol marks nothing
        case events.Gap(start, end, reason):
            return messages.Gap(seconds(start), seconds(end), reason)
        case events.Warned(code, message):
            return messages.Warning(code, message)
        case events.Paced(interval):
            return messages.Pace(seconds(interval))
        case events.Failed(code, message):
            return messages.Error(code, message)
        case events.Done(audio, commits):
            return messages.Done(seconds(audio), commits)
        case unreachable:
            assert_never(unreachable)


def commit_message(commit: events.Commit, *, named: bool) -> messages.Commit:
    """Return the message for a commit."""
    words = [wire_word(word) for word in commit.words] if named else msgspec.UNSET
    start, end, lag = seconds(commit.start), seconds(commit.end), maybe_seconds(commit.lag)
    durable = msgspec.UNSET if commit.durable is None else commit.durable
    return messages.Commit(commit.id, commit.utterance, commit.text, start, end, words, lag, durable)


def text(message: messages.ServerMessage) -> str:
    """Return a message as JSON."""
    return ENCODER.encode(message).decode()


def wire_word(word: HeardWord) -> messages.Word:
    """Return a word as clients see it: without its leading space, times in seconds."""
    return messages.Word(word.text.strip(), seconds(word.start), seconds(word.end), round(word.probability, 4))


def seconds(samples: int) -> float:
    """Return a number of samples as seconds, exactly."""
    return samples / SAMPLE_RATE


def maybe_seconds(samples: int | None) -> float | msgspec.UnsetType:
    """Return a number of samples as seconds, and nothing for nothing."""
    return msgspec.UNSET if samples is None else seconds(samples)
