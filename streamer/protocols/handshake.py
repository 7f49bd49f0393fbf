"""How a client opens its WebSocket, what the daemon has to offer it, and how a protocol says no before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.types import Task
from streamer.config import EndpointConfig

TRUE = frozenset({"true", "1", "yes", "on", ""})
FALSE = frozenset({"false", "0", "no", "off"})


class HandshakeError(Exception):
    """A wish in the URL that cannot be met; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class House:
    """What every session has in common."""

    model: str
    languages: tuple[str, ...]
    tasks: tuple[Task, ...] = tuple(Task)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)


@dataclass(frozen=True, slots=True)
class Handshake:
    """One client's request."""

    session: str
    """Name of the session, for logs and for the client."""
    opened_at: str = ""
    """Time of the request, ISO 8601 with its offset."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    subprotocols: tuple[str, ...] = ()

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a query parameter, which clients may repeat."""
        return tuple(value for key, value in self.query if key == name)

    def text(self, name: str) -> str | None:
        """Return the last value of a query parameter, None if there is none or it is empty."""
        values = self.all(name)
        return values[-1] or None if values else None

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is true or false, in any case of letters. Raises HandshakeError for another."""
        values = self.all(name)
        if not values:
            return default
        value = values[-1].lower()
        if value not in TRUE | FALSE:
            raise HandshakeError(f"{name} must be true or false, got {values[-1][:80]!r}")
        return value in TRUE

    def whole(self, name: str, low: int, high: int) -> int | None:
        """Return a parameter that is a whole number in [low, high]. Raises HandshakeError for another."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
            raise HandshakeError(f"{name} must be a whole number in [{low}, {high}], got {value[:80]!r}")
        return int(value)


def language_code(name: str, languages: tuple[str, ...]) -> str:
    """Return the code that the model knows for a language tag such as `en-US`.

    Raises HandshakeError for one that it does not know.
    """
    code = name.replace("_", "-").partition("-")[0].lower()
    if code not in languages:
        raise HandshakeError(f"language must be one of {', '.join(sorted(languages))}, got {name[:80]!r}")
    return code
