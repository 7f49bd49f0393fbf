from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.config import ServerConfig
from streamer.network.access import Access, Denial, Right
from streamer.network.tokens import hashed
from tests.streamer.harness import LOCAL, request, running

SPEAKER, WATCHER, ADMIN = (f"the-token-of-a-{name}-nobody-guesses" for name in ("speaker", "watcher", "keeper"))
HERE, THERE = "127.0.0.1", "192.0.2.7"


def allowed(access: Access, client: str = HERE) -> dict[str, set[Right]]:
    """Return the rights of each token; "" is none."""

    def denial(right: Right, token: str) -> Denial | None:
        return access.denial(right, {"authorization": f"Bearer {token}"} if token else {}, client=client)

    return {token: {r for r in Right if denial(r, token) is None} for token in ("", SPEAKER, WATCHER, ADMIN)}


def test_without_tokens_everyone_speaks_and_watches_and_this_machine_administers():
    everyone = {Right.SPEAK, Right.WATCH}
    assert allowed(Access.of(ServerConfig())) == dict.fromkeys(
        ["", SPEAKER, WATCHER, ADMIN], everyone | {Right.ADMINISTER}
    )
    assert allowed(Access.of(ServerConfig()), THERE) == dict.fromkeys(["", SPEAKER, WATCHER, ADMIN], everyone)


def test_each_token_is_good_for_its_own_right():
    access = Access.of(ServerConfig(token=SPEAKER, watch_token=hashed(WATCHER), admin_token=ADMIN))
    assert allowed(access) == {
        "": set(),
        SPEAKER: {Right.SPEAK, Right.WATCH},
        WATCHER: {Right.WATCH},
        ADMIN: {Right.ADMINISTER},
    }


def test_without_a_token_of_its_own_watching_needs_that_for_speaking():
    rights = allowed(Access.of(ServerConfig(token=SPEAKER)), THERE)
    assert rights == {"": set(), SPEAKER: {Right.SPEAK, Right.WATCH}, WATCHER: set(), ADMIN: set()}


def test_watching_may_need_a_token_where_speaking_needs_none():
    rights = allowed(Access.of(ServerConfig(watch_token=WATCHER)), THERE)
    assert rights == {
        "": {Right.SPEAK},
        SPEAKER: {Right.SPEAK},
        WATCHER: {Right.SPEAK, Right.WATCH},
        ADMIN: {Right.SPEAK},
    }


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.8.8", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        (None, {}, True),  # a Unix socket
        ("192.0.2.7", {}, False),
        ("fe80::1%eth0", {}, False),
        ("::ffff:192.0.2.7", {}, False),
        ("testclient", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, False),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7"}, False),
    ],
)
def test_this_machine_is_known_by_the_peers_address_and_no_proxy_passes_for_it(client, headers, local):
    assert (Access.of(ServerConfig()).denial(Right.ADMINISTER, headers, client=client) is None) == local


@pytest.mark.parametrize(
    ("token", "line", "status"),
    [
        ("", "", 200),
        ("", "X-Forwarded-For: 192.0.2.7\r\n", 403),
        ("", "Origin: http://localhost\r\n", 200),
        ("", "Origin: http://evil.example\r\n", 403),
        (ADMIN, "", 401),
        (ADMIN, f"Authorization: Bearer {SPEAKER}\r\n", 401),
        (ADMIN, f"Authorization: Bearer {ADMIN}\r\n", 200),
    ],
)
async def test_metrics_are_for_those_who_administer(token, line, status):
    async with running(replace(LOCAL, token=SPEAKER, admin_token=token)) as server:
        head = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n"
        answer = await request(server, head.encode())

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"streamer_sessions" in answer) == (status == 200)
    assert (b"www-authenticate: Bearer" in answer) == (status == 401)


@pytest.mark.parametrize("path", ["/metrics", "/v1/sessions", "/v1/sessions/nobody.txt"])
@pytest.mark.parametrize(
    ("host", "token", "served"),
    [
        ("evil.example:8765", "", False),  # DNS rebinding: a browser names no origin then
        ("localhost.evil.example", "", False),
        ("127.0.0.1:8765", "", True),
        ("[::1]:8765", "", True),
        ("box.localhost", "", True),
        ("captions.example", ADMIN, True),
    ],
)
async def test_without_a_token_nothing_is_told_to_who_calls_this_host_by_a_foreign_name(path, host, token, served):
    async with running(replace(LOCAL, admin_token=token, watch_token=token)) as server:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        answer = await request(server, head.encode())

    assert (answer.split()[1] == b"403") != served
    assert (b"by an address, localhost or server.host" in answer) != served
