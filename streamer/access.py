"""Who may open a stream: tokens, and what browsers say about where a page came from."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from urllib.parse import urlsplit

from streamer.config import ConfigError, ServerConfig

TOKEN_SUBPROTOCOLS = ("bearer.", "openai-insecure-api-key.")
"""What a subprotocol that is a token begins with."""
TOKEN_SCHEMES = frozenset({"bearer", "token"})
"""Of the Authorization header; as a subprotocol each is followed by another that is the token."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a connection is refused, as HTTP."""

    status: int
    reason: str
    message: str


def read_token(config: ServerConfig) -> str:
    """Return the token clients must have; empty if none. Raises ConfigError for a token that cannot be used."""
    if config.token_file is None:
        return config.token
    if config.token:
        raise ConfigError("server.token and server.token_file are both set; one of them must go")
    try:
        token = config.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"server.token_file {config.token_file} cannot be read: {error}") from None
    if not token:
        raise ConfigError(f"server.token_file {config.token_file} is empty")
    return token


class Access:
    """The rules for one server."""

    def __init__(self, token: str, host: str) -> None:
        """`token` empty asks for none; `host` is the name the daemon was told to listen on."""
        self._token = token.encode()
        self._names = {"localhost", host.lower()}

    def denial(self, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Denial | None:
        """Return why a WebSocket may not be opened, or None. `headers` by lower-case name."""
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, headers.get("host", "")):
            return Denial(403, "origin", "pages of other sites may not open streams")
        if self._token and not any(self._matches(offered) for offered in offered_tokens(headers, subprotocols)):
            return Denial(401, "token", "a valid token is required: Authorization: Bearer TOKEN")
        return None

    def _matches(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), self._token)

    def _same_site(self, origin: str, host: str) -> bool:
        """Check a browser's Origin: the page must come from the very host it talks to.

        A page can have its own name resolve to our address (DNS rebinding); both headers then show that name. Without
        a token only names that cannot be taken over are accepted: addresses, localhost, and the configured host.
        """
        try:
            site = urlsplit(origin)
        except ValueError:
            return False
        if site.scheme not in {"http", "https"} or site.netloc.lower() != host.lower():
            return False
        return bool(self._token) or self._is_own_name(site.hostname or "")

    def _is_own_name(self, name: str) -> bool:
        try:
            ip_address(name)
        except ValueError:
            return name in self._names or name.endswith(".localhost")
        return True


def offered_tokens(headers: Mapping[str, str], subprotocols: Sequence[str]) -> list[str]:
    """Return the tokens a client sent: in the Authorization header, or, as browsers must, as a subprotocol."""
    tokens = [
        name.removeprefix(prefix) for name in subprotocols for prefix in TOKEN_SUBPROTOCOLS if name.startswith(prefix)
    ]
    tokens += [token for scheme, token in pairwise(subprotocols) if scheme in TOKEN_SCHEMES]
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() in TOKEN_SCHEMES:
        tokens.append(token.strip())
    return tokens
