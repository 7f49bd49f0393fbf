"""Tokens as the daemon keeps them: digests only, read from the settings or from files.

A setting or a line of a file is the token itself or `sha256:` and the SHA-256 of it in hexadecimal. A plain digest, not
scrypt: tokens are made at random (`streamer token`, 256 bits), so there is nothing to guess that a slow hash would make
slower, and one that took 16 MiB and 50 ms for every handshake would be a lever for those who have no token.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from streamer.config import ConfigError

PREFIX = "sha256:"
DIGEST = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are good for one thing; none means that it has no token of its own."""

    digests: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.digests)

    def __or__(self, other: Tokens) -> Tokens:
        """Return the tokens of both."""
        return Tokens(self.digests + other.digests)

    def any_of(self, offered: Iterable[str]) -> bool:
        """Tell whether one of `offered` is among them, in a time that says nothing about how near it came."""
        return any(hmac.compare_digest(digest(token), kept) for token in offered for kept in self.digests)


def digest(token: str) -> bytes:
    """Return what is kept of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def hashed(token: str) -> str:
    """Return a token as it may stand in the settings."""
    return PREFIX + digest(token).hex()


def read_tokens(name: str, token: str, file: Path | None) -> Tokens:
    """Return the tokens of `server.NAME` or of the file in `server.NAME_file`: one a line, # begins a comment.

    Raises ConfigError for both at once, a file that cannot be read or holds none, a token that no client can send, and
    a digest that is none.
    """
    if file is None:
        return Tokens((_kept(f"server.{name}", token),) if token else ())
    setting = f"server.{name}_file"
    if token:
        raise ConfigError(f"server.{name} and {setting} are both set; one of them must go")
    try:
        lines = [line.strip() for line in file.read_text(encoding="ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting} {file} cannot be read: {error}") from None
    found = tuple(_kept(f"{setting} {file}", line) for line in lines if line and not line.startswith("#"))
    if not found:
        raise ConfigError(f"{setting} {file} is empty")
    return Tokens(found)


def _kept(where: str, token: str) -> bytes:
    if not token.startswith(PREFIX):
        if not token.isascii():  # each client would send other bytes for it, or none
            raise ConfigError(f"{where}: a token must be of ASCII characters, as HTTP's headers are")
        return digest(token)
    written = token.removeprefix(PREFIX)
    if not DIGEST.fullmatch(written):  # never named in full: it may be a token with a mistake before it
        raise ConfigError(f"{where}: {PREFIX} must be followed by 64 hexadecimal digits, got {len(written)} characters")
    return bytes.fromhex(written)
