"""What is told of a session before its events, and written of it as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import encode

from streamer.watching.broadcast import Broadcast, Line

WATCHING_BYTES = 1 << 19
"""Of the first message, at most: clients commonly take up to 1 MiB. What it has no place for follows as `commit`s."""


class Transcript(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A session so far. Times are ISO 8601; `omitted` is how many of its first commits are no longer kept."""

    session: str
    language: str | None
    started: str
    ended: str | UnsetType = UNSET
    omitted: int = 0
    commits: list[Raw]


class Watching(Transcript, tag_field="type", tag="watching", frozen=True, omit_defaults=True, kw_only=True):
    """The same as the first message to a viewer."""


def opening(broadcast: Broadcast) -> tuple[str, list[Line]]:
    """Return the first message to a viewer, and the commits that did not fit into it."""
    lines = broadcast.lines.after(0)
    size = 0
    for count, line in enumerate(lines):
        size += len(line.message)
        if size > WATCHING_BYTES:
            return _written(Watching, broadcast, lines[:count]), lines[count:]
    return _written(Watching, broadcast, lines), []


def whole(broadcast: Broadcast) -> Iterator[str]:
    """Yield a session so far as JSON, piece by piece."""
    lines = broadcast.lines.after(0)
    yield _written(Transcript, broadcast, []).removesuffix("]}")
    for index, line in enumerate(lines):
        yield f",{line.message}" if index else line.message
    yield "]}\n"


def _written(kind: type[Transcript], broadcast: Broadcast, lines: list[Line]) -> str:
    described = kind(
        session=broadcast.session,
        language=broadcast.language,
        started=broadcast.started,
        ended=broadcast.ended or UNSET,
        omitted=broadcast.lines.gone,
        commits=[Raw(line.message) for line in lines],
    )
    return encode(described).decode()
