"""What strangers can cause at will is logged now and then."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from streamer.network.sparing import QUIET_S, SparingLogger
from tests.streamer.harness import get, request, running


def test_the_same_is_said_once_a_minute_and_then_how_often_it_was_not(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = SparingLogger(logging.getLogger("sparing"), lambda: now)
    with caplog.at_level(logging.INFO):
        for number in range(1000):
            log.info("refused: %s", number, extra={"status": 404})
            log.info("refused: %s", number, extra={"status": 401})
            log.warning("nonsense")
        now = QUIET_S
        log.info("refused: %s", "again", extra={"status": 404})

    told: list[tuple[str, Any, Any]] = [
        (record.getMessage(), getattr(record, "status", None), getattr(record, "unsaid", None))
        for record in caplog.records
    ]
    assert told == [
        ("refused: 0", 404, None),
        ("refused: 0", 401, None),
        ("nonsense", None, None),
        ("refused: again", 404, 999),
    ]


def test_errors_are_always_said_and_at_debug_everything_is(caplog: pytest.LogCaptureFixture) -> None:
    log = SparingLogger(logging.getLogger("sparing"), lambda: 0.0)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            log.error("broken")
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            log.info("refused")

    assert [record.getMessage() for record in caplog.records] == ["broken"] * 3 + ["refused"] * 3


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize(
    "asked",
    [
        "GET /v1/sessions/nobody.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        f"GET /v1/watch/nobody HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
        f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n{UPGRADE}\r\n",
        "no HTTP\r\n\r\n",
    ],
)
async def test_a_flood_of_refused_requests_is_one_line(asked: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as server:
        await get(server, "/healthz")
        caplog.clear()
        for _ in range(10):
            assert (await request(server, asked.encode())).split()[1][:1] == b"4"
        lines = [record.getMessage() for record in caplog.records]

    assert len(lines) == 1
