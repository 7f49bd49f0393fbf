"""Write a transcript as text, JSON, SubRip (.srt) or WebVTT (.vtt). Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from model.types import SAMPLE_RATE, Segment, Word
from streamer.core.cues import Cue, cues


class TranscriptFormat(StrEnum):
    """How a transcript is written."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a recording."""

    segments: tuple[Segment, ...]
    language: str
    duration: int
    """Samples."""

    @property
    def words(self) -> Iterator[Word]:
        """All words in order."""
        return (word for segment in self.segments for word in segment.words)


def render(transcript: Transcript, style: TranscriptFormat) -> str:
    """Return the whole file, ending with a line break unless it is empty."""
    match style:
        case TranscriptFormat.TEXT:
            return _text(transcript)
        case TranscriptFormat.JSON:
            return json.dumps(_plain(transcript), ensure_ascii=False, indent=2) + "\n"
        case TranscriptFormat.SRT:
            return "".join(srt_cue(number, cue) for number, cue in enumerate(cues(transcript.words), start=1))
        case TranscriptFormat.VTT:
            return "WEBVTT\n" + "".join(vtt_cue(cue) for cue in cues(transcript.words))
        case _:
            assert_never(style)


def segment_text(segment: Segment) -> str:
    """Join the words of a segment."""
    return "".join(word.text for word in segment.words).strip()


def _text(transcript: Transcript) -> str:
    lines = (segment_text(segment) for segment in transcript.segments)
    return "".join(f"{line}\n" for line in lines if line)


def _plain(transcript: Transcript) -> dict[str, object]:
    return {
        "language": transcript.language,
        "duration": _seconds(transcript.duration),
        "text": "".join(word.text for word in transcript.words).strip(),
        "segments": [
            {
                "id": number,
                "start": _seconds(segment.start),
                "end": _seconds(_end(segment)),
                "text": segment_text(segment),
                "words": [_plain_word(word) for word in segment.words],
            }
            for number, segment in enumerate(transcript.segments)
        ],
    }


def _plain_word(word: Word) -> dict[str, object]:
    return {
        "text": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "probability": round(word.probability, 4),
    }


def _end(segment: Segment) -> int:
    if segment.end is not None:
        return segment.end
    return segment.words[-1].end if segment.words else segment.start


def _seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 3)


def srt_cue(number: int, cue: Cue) -> str:
    """Return a cue of a SubRip file, with the empty line after it."""
    # SubRip knows no escapes, so the one sequence that a reader takes for a time line is spelt apart.
    lines = "\n".join(_unarrowed(cue.lines))
    return f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n{lines}\n\n"


def vtt_cue(cue: Cue) -> str:
    """Return a cue of a WebVTT file, with the empty line before it."""
    # W3C WebVTT 4.2.2: & and < start markup, and "-->" may not appear at all; escaping > settles the latter.
    lines = "\n".join(html.escape(line, quote=False) for line in cue.lines)
    return f"\n{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}\n{lines}\n"


def _unarrowed(lines: Sequence[str]) -> Iterator[str]:
    return (line.replace("-->", "-- >") for line in lines)


def _time(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"
