"""Which display fits: a terminal gets captions that move, a pipe gets lines."""

from __future__ import annotations

import sys
from enum import StrEnum

from clients.captions import Display, JsonCaptions, LiveCaptions, PlainCaptions


class CaptionFormat(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"


def display_for(style: CaptionFormat, *, plain: bool, source: str = "") -> Display:
    """Return live captions if standard output is a terminal and nothing else was asked for."""
    if style is CaptionFormat.JSON:
        return JsonCaptions()
    if plain or not sys.stdout.isatty():
        return PlainCaptions()
    return LiveCaptions(source=source)
