"""Who may do what: tokens, where a client is, and what browsers say about where a page came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamer.config import ServerConfig
from streamer.network.tokens import Tokens, read_tokens

if TYPE_CHECKING:  # the web framework, which commands other than `serve` do without
    from starlette.requests import HTTPConnection

TOKEN_SUBPROTOCOLS = ("bearer.", "openai-insecure-api-key.")
"""What a subprotocol that is a token begins with."""
TOKEN_SCHEMES = frozenset({"bearer", "token"})
"""Of the Authorization header; as a subprotocol each is followed by another that is the token."""
FORWARDED = ("forwarded", "x-forwarded-for")
"""Headers of a proxy: whoever is behind it is not on this machine, though the proxy may be."""


class Right(StrEnum):
    """What a client may be allowed to do."""

    SPEAK = "speak"
    """Have speech recognised: streams and recordings. Whoever may speak may watch."""
    WATCH = "watch"
    """See the captions of a session that is somebody else's."""
    ADMINISTER = "administer"
    """See how the daemon does: metrics."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a connection is refused, as HTTP."""

    status: int
    reason: str
    message: str


class Access:
    """The rules for one server."""

    def __init__(self, tokens: Mapping[Right, Tokens], host: str) -> None:
        """Take the tokens that were set for each right; `host` is the name the daemon was told to listen on.

        Speaking needs its token if there is one. Watching needs its own or that for speaking, if there is either.
        Administering needs its own; without one it is for clients on this machine only.
        """
        speaking = tokens.get(Right.SPEAK, Tokens())
        self._tokens = {
            Right.SPEAK: speaking,
            Right.WATCH: speaking | tokens.get(Right.WATCH, Tokens()),
            Right.ADMINISTER: tokens.get(Right.ADMINISTER, Tokens()),
        }
        self._names = {"localhost", host.lower()}

    @classmethod
    def of(cls, config: ServerConfig) -> Access:
        """Read the rules from the settings. Raises ConfigError for tokens that cannot be used."""
        tokens = {
            Right.SPEAK: read_tokens("token", config.token, config.token_file),
            Right.WATCH: read_tokens("watch_token", config.watch_token, config.watch_token_file),
            Right.ADMINISTER: read_tokens("admin_token", config.admin_token, config.admin_token_file),
        }
        return cls(tokens, config.host)

    def guards(self, right: Right) -> bool:
        """Tell whether a token is needed."""
        return bool(self._tokens[right])

    def denial_of(self, right: Right, connection: HTTPConnection) -> Denial | None:
        """Return why a connection may not watch or administer, or None.

        A browser names no origin where a page fetches from its own host, whose name may be made to resolve to us (DNS
        rebinding): in plain HTTP the host is then judged as if it were the origin. Who speaks sends something, and
        there browsers do name it.
        """
        headers = dict(connection.headers)
        implied = connection.scope["type"] == "http" and "origin" not in headers
        if implied:
            headers["origin"] = f"http://{headers.get('host', '')}"
        client = connection.client.host if connection.client else None
        denial = self.denial(right, headers, connection.scope.get("subprotocols", ()), client)
        if implied and denial is not None and denial.reason == "origin":
            return replace(denial, message="without a token, ask by an address, localhost or server.host")
        return denial

    def denial(
        self, right: Right, headers: Mapping[str, str], subprotocols: Sequence[str] = (), client: str | None = None
    ) -> Denial | None:
        """Return why a request may not be served, or None.

        Headers are by lower-case name; `client` is the peer's address, None for a Unix socket. Nothing is read from the
        URL: URLs are logged, by proxies and browsers if not by us.
        """
        origin = headers.get("origin")
        if origin is not None and not self._same_site(right, origin, headers.get("host", "")):
            return Denial(403, "origin", "pages of other sites are not served")
        if tokens := self._tokens[right]:
            if not tokens.any_of(offered_tokens(headers, subprotocols)):
                return Denial(401, "token", "a valid token is required: Authorization: Bearer TOKEN")
        elif right is Right.ADMINISTER and not is_local(headers, client):
            return Denial(403, "remote", "for clients on the same machine only; set server.admin_token to allow others")
        return None

    def _same_site(self, right: Right, origin: str, host: str) -> bool:
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
        return self.guards(right) or self._is_own_name(site.hostname or "")

    def _is_own_name(self, name: str) -> bool:
        try:
            ip_address(name)
        except ValueError:
            return name in self._names or name.endswith(".localhost")
        return True


def is_local(headers: Mapping[str, str], client: str | None) -> bool:
    """Tell whether a request comes from this machine, and from no proxy on it that says it speaks for others."""
    if any(name in headers for name in FORWARDED):
        return False
    if client is None:
        return True
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


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
