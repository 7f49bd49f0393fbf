from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamer.config import LogConfig, LogFormat
from streamer.decoding.decoder import Decoder
from streamer.logs import SESSION, configure
from streamer.protocols.table import PROTOCOLS
from tests.streamer.decoding.threads import start_thread
from tests.streamer.harness import LOCAL, connected, get, listen, push, running, s16, sentence, transcribe
from tests.streamer.http.uploads import upload

HOSTILE = "a\nb\x1b[31m\u202e\x00"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def log(config: LogConfig) -> io.StringIO:
    """Configure logging into a buffer."""
    stream = io.StringIO()
    configure(config, stream)
    return stream


def test_a_console_line_has_level_logger_message_session_and_fields() -> None:
    stream = log(LogConfig())
    SESSION.set("abc")
    logging.getLogger("streamer.x").info("session ended", extra={"audio_s": 1.5})
    SESSION.set("")

    assert stream.getvalue().split(" ", 1)[1] == "INFO    streamer.x: session ended session=abc audio_s=1.5\n"


def test_nothing_a_client_says_makes_a_second_line_or_steers_the_terminal() -> None:
    stream = log(LogConfig())
    logging.getLogger("x").info("said %s", HOSTILE, extra={"prompt": HOSTILE})

    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().rstrip("\n").isprintable()
    assert r"a\nb\x1b[31m\u202e\x00" in stream.getvalue()


@pytest.mark.parametrize("kind", list(LogFormat))
def test_a_traceback_cannot_be_mistaken_for_lines_of_the_log(kind: LogFormat) -> None:
    stream = log(LogConfig(format=kind))
    try:
        int(HOSTILE)
        pytest.fail("a number?")
    except ValueError:
        logging.getLogger("x").exception("failed")

    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)


def test_a_json_line_is_one_object() -> None:
    stream = log(LogConfig(format=LogFormat.JSON))
    SESSION.set("abc")
    logging.getLogger("x").warning("said %s", HOSTILE, extra={"close": 1000})
    SESSION.set("")

    [line] = stream.getvalue().splitlines()
    record = json.loads(line)
    assert line.isascii()
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "WARNING",
        "logger": "x",
        "message": f"said {HOSTILE}",
        "session": "abc",
        "close": 1000,
    }


def test_the_level_holds() -> None:
    stream = log(LogConfig(level="WARNING"))
    logging.getLogger("x").info("quiet")

    assert stream.getvalue() == ""


async def test_each_recordings_lines_have_a_name_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "start", start_thread)
    stream = log(LogConfig(format=LogFormat.JSON))
    async with running() as server:
        for _ in range(2):
            await upload(server)

    records = map(json.loads, stream.getvalue().splitlines())
    names = [record["session"] for record in records if record["message"] in {"recording opened", "recording done"}]
    first, second = names[0], names[-1]
    assert names == [first, first, second, second]
    assert first != second


async def test_no_words_and_no_token_appear_above_debug_and_lines_name_their_session() -> None:
    stream = log(LogConfig(format=LogFormat.JSON))
    async with running() as server:
        heard = await transcribe(server, s16(sentence(7, 8)), 3200, prompt="canary")

    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert heard.finals == ["w7 w8"]
    assert "w7" not in stream.getvalue()
    assert "canary" not in stream.getvalue()
    session = heard.messages[0]["session"]
    assert [r["message"] for r in records if r.get("session") == session] == ["session opened", "session ended"]


SECRETS = ("a-token-that-nobody-guesses", "a-token-that-is-wrong", "a-token-of-one-who-watches")


async def test_no_token_is_logged_whoever_offers_it_wherever_and_none_is_taken_from_a_url() -> None:
    stream = log(LogConfig(level="DEBUG"))
    right, wrong, watching = SECRETS
    paths = [protocol.path for protocol in PROTOCOLS] + ["/v1/watch/nobody"]
    settings = replace(LOCAL, token=right, watch_token=watching)
    statuses = []
    async with running(settings) as server:
        for path in paths:
            url = f"ws://127.0.0.1:{server.port}{path}"
            for token in SECRETS:
                in_url = "&".join(f"{name}={token}" for name in ("token", "access_token", "api_key", "key"))
                with pytest.raises(InvalidStatus) as refused:
                    await connect(f"{url}?{in_url}", proxy=None)
                statuses.append(refused.value.response.status_code)
            for offer in (
                {"additional_headers": {"Authorization": f"Bearer {wrong}"}},
                {"subprotocols": [f"bearer.{wrong}", f"openai-insecure-api-key.{wrong}", "token", wrong]},
            ):
                with pytest.raises(InvalidStatus):
                    await connect(url, proxy=None, **offer)
        offer = {"Authorization": f"Bearer {right}"}
        async with connected(server, additional_headers=offer) as client:
            await push(client, [{"type": "start"}, {"type": "stop"}])
            await listen(client)
        async with connected(server, subprotocols=["streamer.v1", f"bearer.{right}"]):
            pass
        for path in ("/v1/models", "/metrics", "/v1/sessions/nobody.txt"):
            await get(server, f"{path}?token={right}")

    logged = stream.getvalue()
    assert set(statuses) == {401}
    assert "session opened" in logged
    assert [secret for secret in SECRETS if secret in logged] == []
