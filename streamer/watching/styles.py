"""How a session is written: what the whole of it is, and what each thing that is added to it is called. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streamer.core.formats import srt_cue, vtt_cue
from streamer.watching import messages
from streamer.watching.broadcast import Broadcast, Caption, Line
from streamer.watching.roll import Roll


@dataclass(frozen=True, slots=True)
class Style:
    """One way to write sessions."""

    media_type: str
    whole: Callable[[Broadcast], Iterator[str]]
    """Everything so far, piece by piece."""
    kept: Callable[[Broadcast], Roll[Line] | Roll[Caption]]
    """The things that are added one by one; their numbers are the ids of events."""
    added: Callable[[Broadcast, int], str]
    """One of them, by its number, as it is added."""


def text(broadcast: Broadcast) -> Iterator[str]:
    """Yield a line for each utterance."""
    lines = broadcast.lines
    if lines.gone:
        yield f"[the first {lines.gone} commits are no longer kept]\n"
    last = lines.last
    for number in range(lines.gone + 1, last + 1):
        yield added_text(broadcast, number)
    if last > lines.gone:
        yield "\n"


def added_text(broadcast: Broadcast, number: int) -> str:
    """Return a commit's text, with a line break before it if it begins another utterance than the one before it."""
    lines = broadcast.lines
    line = lines.item(number)
    begins = number > lines.gone + 1 and lines.item(number - 1).utterance != line.utterance
    return f"\n{line.text}" if begins else line.text


def srt(broadcast: Broadcast) -> Iterator[str]:
    """Yield a SubRip file; it has no place for remarks."""
    return (srt_cue(caption.number, caption.cue) for caption in broadcast.captions.after(0))


def vtt(broadcast: Broadcast) -> Iterator[str]:
    """Yield a WebVTT file."""
    yield "WEBVTT\n"
    if broadcast.captions.gone:
        yield f"\nNOTE The first {broadcast.captions.gone} cues are no longer kept.\n"
    for caption in broadcast.captions.after(0):
        yield vtt_cue(caption.cue)


def captions(broadcast: Broadcast) -> Roll[Caption]:
    """Return a session's cues."""
    return broadcast.captions


def lines(broadcast: Broadcast) -> Roll[Line]:
    """Return a session's commits."""
    return broadcast.lines


def added_srt(broadcast: Broadcast, number: int) -> str:
    """Return a cue."""
    return srt_cue(number, broadcast.captions.item(number).cue).strip()


def added_vtt(broadcast: Broadcast, number: int) -> str:
    """Return a cue."""
    return vtt_cue(broadcast.captions.item(number).cue).strip()


def added_json(broadcast: Broadcast, number: int) -> str:
    """Return a commit's message."""
    return broadcast.lines.item(number).message


STYLES = {
    "vtt": Style("text/vtt; charset=utf-8", vtt, captions, added_vtt),
    "srt": Style("application/x-subrip; charset=utf-8", srt, captions, added_srt),
    "txt": Style("text/plain; charset=utf-8", text, lines, added_text),
    "json": Style("application/json", messages.whole, lines, added_json),
}
"""By the end of the path."""
