"""A transcript as a response's body, and as the events of a stream. Pure."""

from __future__ import annotations

import json
from math import ceil
from typing import assert_never

from model.text.languages import LANGUAGES
from model.types import HOP, SAMPLE_RATE, Word
from streamer.core.formats import TranscriptFormat, render
from streamer.http.transcript import GrowingTranscript, Passage
from streamer.http.wishes import Granularity, ResponseFormat, Wishes

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
EVENTS_TYPE = "text/event-stream; charset=utf-8"


def body(transcript: GrowingTranscript, duration: int, wishes: Wishes) -> tuple[str, str]:
    """Return content type and content of the response; `duration` in samples."""
    match wishes.format:
        case ResponseFormat.JSON:
            return JSON_TYPE, text({"text": transcript.text, "usage": usage(duration)})
        case ResponseFormat.VERBOSE_JSON:
            return JSON_TYPE, text(verbose(transcript, duration, wishes))
        case ResponseFormat.TEXT:
            return TEXT_TYPE, transcript.text + "\n"
        case ResponseFormat.SRT:
            return TEXT_TYPE, render(transcript.complete(duration), TranscriptFormat.SRT)
        case ResponseFormat.VTT:
            return TEXT_TYPE, render(transcript.complete(duration), TranscriptFormat.VTT)
        case unreachable:
            assert_never(unreachable)


def verbose(transcript: GrowingTranscript, duration: int, wishes: Wishes) -> dict[str, object]:
    """Return everything that is known."""
    task = wishes.configure.task
    code = "en" if task == "translate" else transcript.language or wishes.configure.language or ""
    answer: dict[str, object] = {
        "task": str(task),
        "language": LANGUAGES.get(code, code),
        "duration": seconds(duration),
        "text": transcript.text,
    }
    if Granularity.SEGMENT in wishes.granularities:
        answer["segments"] = [segment(number, passage) for number, passage in enumerate(transcript.passages)]
    if Granularity.WORD in wishes.granularities:
        answer["words"] = [timed(word) for word in transcript.words]
    return answer | {"usage": usage(duration)}


def segment(number: int, passage: Passage) -> dict[str, object]:
    """Return a segment; as in the reference, its figures are those of the whole decode that it comes from."""
    heard = passage.hypothesis
    return {
        "id": number,
        "seek": heard.start // HOP,
        "start": seconds(passage.segment.start),
        "end": seconds(passage.segment.end or 0),
        "text": passage.text,
        "tokens": [token for word in passage.segment.words for token in word.tokens],
        "temperature": heard.temperature,
        "avg_logprob": round(heard.average_log_probability, 6),
        "compression_ratio": round(heard.compression_ratio, 6),
        "no_speech_prob": round(heard.no_speech_probability, 6),
    }


def timed(word: Word) -> dict[str, object]:
    """Return a word with its times."""
    return {"word": word.text.strip(), "start": seconds(word.start), "end": seconds(word.end)}


def usage(duration: int) -> dict[str, object]:
    """Return what was used: begun seconds of audio."""
    return {"type": "duration", "seconds": ceil(duration / SAMPLE_RATE)}


def delta(grown: str) -> bytes:
    """Return the event that a transcript has grown."""
    return event({"type": "transcript.text.delta", "delta": grown})


def done(transcript: GrowingTranscript, duration: int) -> bytes:
    """Return the last event of a stream."""
    return event({"type": "transcript.text.done", "text": transcript.text, "usage": usage(duration)})


def event(content: dict[str, object]) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    return f"data: {text(content)}\n\n".encode()


def text(content: dict[str, object]) -> str:
    """Return JSON, every script readable."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def seconds(samples: int) -> float:
    """Return a number of samples as seconds."""
    return round(samples / SAMPLE_RATE, 3)
