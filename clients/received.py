"""What a server says, of its bytes."""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from streamer.protocols import messages

FromServer: TypeAlias = (
    messages.Ready
    | messages.Ack
    | messages.SpeechStarted
    | messages.Partial
    | messages.Commit
    | messages.SpeechEnded
    | messages.Final
    | messages.Flushed
    | messages.Gap
    | messages.Warning
    | messages.Pace
    | messages.Error
    | messages.Done
)

TYPES = frozenset(kind.__struct_config__.tag for kind in get_args(FromServer))


class Envelope(msgspec.Struct, frozen=True):
    """What every message has."""

    type: str


DECODER: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)


def received(data: str | bytes) -> FromServer | None:
    """Return a message, or None for one of a type that only a later version of the server has.

    Raises msgspec.MsgspecError for what is no message of the protocol.
    """
    if msgspec.json.decode(data, type=Envelope).type not in TYPES:
        return None
    return DECODER.decode(data)
