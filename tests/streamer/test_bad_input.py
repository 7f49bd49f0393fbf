"""One bad client at a time, beside a good one that must not notice."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from model.types import SAMPLE_RATE
from streamer.connection.reader import TURN_MESSAGES
from streamer.core.commands import Command
from streamer.network import websocket_protocol
from streamer.network.flow import UNSENT_BYTES
from streamer.network.websocket_protocol import MAX_CONTROLS
from streamer.protocols.native import NativeCodec
from streamer.server import Server
from tests.fakes import LevelRecognizer
from tests.streamer.harness import (
    LOCAL,
    Heard,
    connected,
    converse,
    get,
    listen,
    metric,
    request,
    running,
    s16,
    sentence,
    transcribe,
    until,
    until_heard,
)

GOOD = np.concatenate([sentence(n, n + 1) for n in range(4)])
GOOD_FINALS = [f"w{n} w{n + 1}" for n in range(4)]
START: dict[str, Any] = {"type": "start"}
FLOATS = {"type": "start", "encoding": "pcm_f32le"}
BOUNDED = replace(LOCAL, max_message_bytes=65_536, open_timeout_s=2.0)

Trouble = Callable[[Server], Awaitable[None]]


@cache
def undisturbed() -> Heard:
    """The good client's transcript when it is alone; made outside any test's event loop."""

    async def alone() -> Heard:
        async with running(BOUNDED) as server:
            return await transcribe(server, s16(GOOD), 3200)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, alone()).result()


async def beside_a_good_client(trouble: Trouble) -> None:
    """Make trouble in the middle of a good stream, which must come out as if nothing had been."""
    alone = undisturbed()
    audio = s16(GOOD)
    async with running(BOUNDED) as server, connected(server) as good:
        await good.send(json.dumps(START))
        await good.send(audio[:60_001])
        await until_heard(good, "ready")
        heard = Heard()
        async with asyncio.TaskGroup() as group:
            group.create_task(listen(good, heard))
            await trouble(server)
            for at in range(60_001, len(audio), 3200):
                await good.send(audio[at : at + 3200])
            await good.send('{"type":"stop"}')
        assert await get(server, "/healthz") == (200, '{"status":"ok"}')
        assert (await get(server, "/readyz"))[0] == 200
        after = await transcribe(server, audio, 3200)

    assert alone.finals == GOOD_FINALS
    assert (heard.finals, heard.words, heard.code) == (alone.finals, alone.words, 1000)
    assert after.finals == alone.finals


@pytest.mark.parametrize(
    ("messages", "code", "close"),
    [
        pytest.param([{"type": "start", "rate": 1}], "bad_message", 1007, id="unknown field"),
        pytest.param([{"type": "start", "sample_rate": "8000"}], "bad_message", 1007, id="wrong type"),
        pytest.param([{"type": "hello"}], "bad_message", 1007, id="unknown message"),
        pytest.param(["{"], "bad_message", 1007, id="no JSON"),
        pytest.param(["[" * 60_000], "bad_message", 1007, id="deep JSON"),
        pytest.param([START, "[]"], "bad_message", 1007, id="no object, later"),
        pytest.param([{"type": "start", "sample_rate": 0}], "bad_value", 1008, id="rate 0"),
        pytest.param([{"type": "start", "sample_rate": 10**9}], "bad_value", 1008, id="rate 1e9"),
        pytest.param([{"type": "start", "sample_rate": 1e9}], "bad_message", 1007, id="rate 1e9 as a float"),
        pytest.param([{"type": "start", "language": "xx"}], "bad_value", 1008, id="unknown language"),
        pytest.param([b"\0\0"], "unexpected_message", 1008, id="binary before start"),
        pytest.param([START, START], "unexpected_message", 1008, id="second start"),
        pytest.param([START, bytes(101), {"type": "stop"}], "incomplete_sample", 1007, id="odd bytes"),
        pytest.param([FLOATS, struct.pack("<f", np.nan)], "bad_samples", 1007, id="NaN"),
        pytest.param([FLOATS, struct.pack("<f", np.inf)], "bad_samples", 1007, id="infinity"),
    ],
)
async def test_a_bad_message_gets_its_error_and_its_close_code(messages: list[Any], code: str, close: int) -> None:
    async def trouble(server: Server) -> None:
        heard = await converse(server, messages)

        assert heard.kinds[-1] == "error"
        assert "done" not in heard.kinds
        assert (heard.messages[-1]["code"], heard.code, heard.reason) == (code, close, code)
        assert heard.messages[-1]["message"]
        assert await metric(server, f'streamer_errors_total{{code="{code}"}}') == 1

    await beside_a_good_client(trouble)


async def test_what_was_said_before_an_incomplete_sample_is_delivered() -> None:
    async with running() as server:
        heard = await transcribe(server, s16(sentence(1, 2)) + b"x", 777)

    assert heard.finals == ["w1 w2"]
    assert (heard.kinds[-2:], heard.code) == (["final", "error"], 1007)


async def test_a_giant_message_is_closed_with_1009() -> None:
    async def trouble(server: Server) -> None:
        heard = await converse(server, [START, bytes(65_536), bytes(65_537)])

        assert heard.code == 1009
        assert "65537 bytes" in heard.reason

    await beside_a_good_client(trouble)


def send_all_then_read(port: int, handshake: bytes, message: bytes) -> bytes:
    """Do as simple clients do: listen only after everything is sent."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(handshake)
        while not plain.recv(1 << 16).endswith(b"\r\n\r\n"):
            pass
        plain.sendall(message)
        return plain.recv(1 << 16)


async def test_a_client_still_sending_a_giant_message_learns_why_it_is_closed() -> None:
    async def trouble(server: Server) -> None:
        async with connected(server) as client:
            handshake = client.request.serialize()
        message = frame(Opcode.BINARY, bytes(5_000_000))
        answer = await asyncio.to_thread(send_all_then_read, server.port, handshake, message)

        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4]) == 1009

    await beside_a_good_client(trouble)


async def raw(socket: ClientConnection, *frames: bytes) -> Heard:
    """Write frames as they are; return how it ended."""
    for frame in frames:
        socket.transport.write(frame)
    return await listen(socket)


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """Serialize a client's frame."""
    return Frame(opcode, data, fin=fin).serialize(mask=mask)


@pytest.mark.parametrize(
    ("frames", "close"),
    [
        pytest.param([frame(Opcode.TEXT, b'{"type":"start","prompt":"\xff"}')], 1007, id="no UTF-8"),
        pytest.param([frame(Opcode.TEXT, b"{}", mask=False)], 1002, id="unmasked"),
        pytest.param([b"\x83\x80\0\0\0\0"], 1002, id="reserved opcode"),
        pytest.param([b"\xf2\x80\0\0\0\0"], 1002, id="reserved bits"),
        pytest.param([b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"], 1009, id="2^63 - 1 bytes"),
        pytest.param(
            [frame(Opcode.TEXT, b"", fin=False), *[frame(Opcode.CONT, b"", fin=False)] * 5000],
            1009,
            id="endless fragments",
        ),
        pytest.param(
            [frame(Opcode.BINARY, b"", fin=False), *[frame(Opcode.CONT, bytes(16_000), fin=False)] * 5],
            1009,
            id="large in fragments",
        ),
    ],
)
async def test_frames_that_cannot_be_are_answered_with_their_close_code(frames: list[bytes], close: int) -> None:
    async def trouble(server: Server) -> None:
        async with connected(server) as client:
            heard = await raw(client, *frames)

        assert heard.code == close

    await beside_a_good_client(trouble)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(os.urandom(2000) + b"\r\n\r\n", 400, id="garbage"),
        pytest.param(b"GET / HTTP/9\r\n\r\n", 400, id="no HTTP version"),
        pytest.param(b"POST /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, id="POST"),
        pytest.param(b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000, 400, id="long header"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
            400,
            id="long header that is complete",
        ),
        pytest.param(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"X: " + b"x" * 10_000 + b"\r\n\r\n",
            400,
            id="handshake with a long header",
        ),
        pytest.param(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            id="handshake without a key",
        ),
        pytest.param(
            b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            403,
            id="WebSocket elsewhere",
        ),
    ],
)
async def test_requests_that_make_no_sense_are_answered_and_closed(data: bytes, status: int) -> None:
    async def trouble(server: Server) -> None:
        answer = await request(server, data)

        assert int(answer.split()[1]) == status

    await beside_a_good_client(trouble)


async def test_a_client_that_says_nothing_is_closed() -> None:
    async with running(replace(LOCAL, open_timeout_s=0.05)) as server:
        async with connected(server) as client:
            heard = await listen(client)
        silent = await request(server, b"")
        slow = await request(server, b"GET /healthz HTTP/1.1\r\n")

    assert (heard.messages[0]["code"], heard.code) == ("open_timeout", 1008)
    assert "within 0.05 s" in heard.messages[0]["message"]
    assert (silent, slow) == (b"", b"")


async def test_a_client_that_falls_silent_gets_its_text_and_is_closed() -> None:
    async with running(replace(LOCAL, idle_timeout_s=0.1)) as server:
        heard = await converse(server, [START, s16(sentence(1, 2)[: SAMPLE_RATE // 2])])

    assert len(heard.finals) == 1
    assert (heard.messages[-1]["code"], heard.code) == ("idle_timeout", 1008)


@pytest.mark.usefixtures("kernel_is_patient")
async def test_a_client_that_never_reads_is_cut_off() -> None:
    async with running(replace(LOCAL, send_timeout_s=0.2)) as server:
        receiver = socket.create_connection(("127.0.0.1", server.port))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.settimeout(0)
        good = asyncio.create_task(transcribe(server, s16(GOOD), 3200))
        async with connected(server, sock=receiver, max_queue=1, ping_interval=None) as client:
            await client.send(json.dumps(START))
            flush = json.dumps({"type": "flush", "id": "x" * 128})
            with suppress(ConnectionClosed):
                while True:
                    await client.send(flush)
        await until(lambda: server.admission.count == 0)

        assert await metric(server, 'streamer_errors_total{code="slow_client"}') == 1
        assert (await good).finals == GOOD_FINALS
        assert (await transcribe(server, s16(GOOD), 3200)).finals == GOOD_FINALS


async def test_a_client_that_pings_and_never_reads_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "MAX_CONTROLS", 1_000_000)
    async with running() as server:
        receiver = socket.create_connection(("127.0.0.1", server.port))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.settimeout(0)
        async with connected(server, sock=receiver, max_queue=1, ping_interval=None) as client:
            await client.send(json.dumps(START))
            await until_heard(client, "ready")
            client.transport.pause_reading()
            (protocol,) = server._listener.server_state.connections
            most = 0
            for _ in range(100):
                client.transport.write(frame(Opcode.PING, bytes(125)) * 1000)
                await until(lambda: client.transport.get_write_buffer_size() == 0)
                most = max(most, protocol.transport.get_write_buffer_size())
            client.transport.abort()

    assert 0 < most <= 2 * UNSENT_BYTES


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
async def test_more_pings_and_pongs_than_anybody_needs_end_the_connection(opcode: Opcode) -> None:
    async def trouble(server: Server) -> None:
        async with connected(server) as client:
            for _ in range(2):
                await (await client.ping())
            client.transport.write(frame(opcode, b"") * (MAX_CONTROLS - 10))
            await (await client.ping())
            heard = await raw(client, frame(opcode, b"") * 20_000)

        assert (heard.code, heard.reason) == (1008, f"at most {MAX_CONTROLS} pings and pongs a second")

    await beside_a_good_client(trouble)


async def test_a_client_that_pings_once_in_a_while_is_kept_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "MAX_CONTROLS", 1)
    async with running() as server, connected(server, ping_interval=None) as client:
        (protocol,) = server._listener.server_state.connections
        for _ in range(3):
            await (await client.ping())
            protocol._second -= 1  # the time that passes


async def test_a_message_in_fragments_is_heard_whole() -> None:
    start = json.dumps(START)
    async with running() as server, connected(server) as client:
        await client.send([start[:5], start[5:10], start[10:]])
        await until_heard(client, "ready")


async def test_a_ping_behind_what_ended_the_connection_is_no_error_in_the_log(caplog) -> None:
    async with running() as server, connected(server) as client:
        heard = await raw(client, frame(Opcode.TEXT, b"\xff") + frame(Opcode.PING, b""))

    assert heard.code == 1007
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_is_refused_before_the_upgrade_is_no_error_in_the_log(caplog) -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus, match="403"):
            async with connected(server, origin="https://elsewhere.example"):
                pass

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("politely", [True, False], ids=["close frame", "reset"])
async def test_a_stream_whose_client_vanishes_is_still_decided_and_forgotten(politely: bool) -> None:
    recognizer = LevelRecognizer()
    async with running(recognizer=recognizer) as server:
        async with connected(server) as client:
            await client.send(json.dumps(START))
            session = (await until_heard(client, "ready"))["session"]
            await client.send(s16(sentence(1, 2, 3)[: SAMPLE_RATE * 9 // 10]))
            await until(lambda: server.metrics.audio._value.get() >= 0.9)
            if politely:
                await client.close(1001)
            else:
                client.transport.abort()
        await until(lambda: server.admission.count == 0 and session in recognizer.forgotten)

        assert recognizer.requests[-1].final
        assert await metric(server, "streamer_finals_total") == 1
        assert await metric(server, "streamer_words_total") == 3


async def test_clients_that_vanish_before_they_begin_leave_nothing_behind() -> None:
    async def trouble(server: Server) -> None:
        before = server.admission.count
        for _ in range(20):
            async with connected(server) as client:
                client.transport.abort()
        await until(lambda: server.admission.count == before)

    await beside_a_good_client(trouble)


async def test_connections_beyond_the_bound_are_dropped_and_the_rest_served() -> None:
    async with running(replace(LOCAL, max_connections=20, open_timeout_s=3600)) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
        async with asyncio.timeout(5):
            assert await request(server, b"") == b""
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        await until(lambda: not server.guests)

        assert (await transcribe(server, s16(GOOD), 3200)).finals == GOOD_FINALS
        assert await metric(server, 'streamer_refusals_total{reason="connections"}') == 1


async def test_a_long_message_does_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, most = 0, 0

    def count(_: Any) -> float:
        nonlocal frames
        frames += 1
        return 0.0

    async def take_turns() -> None:
        nonlocal most
        while True:
            seen = frames
            await asyncio.sleep(0)
            most = max(most, frames - seen)

    async with running() as server:
        monkeypatch.setattr(server.switchboard, "make_vad", lambda aggressiveness: count)
        other = asyncio.create_task(take_turns())
        heard = await converse(server, [{**START, "encoding": "mulaw"}, b"\xff" * 1_000_000, {"type": "stop"}])
        other.cancel()

    assert heard.messages[-1]["audio"] == 62.5
    assert frames == 2083
    assert most <= 17  # half a second


async def test_thousands_of_empty_messages_do_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, most = 0, 0
    decode = NativeCodec.decode

    def count(self: NativeCodec, message: str | bytes) -> Iterator[Command]:
        nonlocal taken
        taken += 1
        return decode(self, message)

    async def take_turns() -> None:
        nonlocal most
        while True:
            seen = taken
            await asyncio.sleep(0)
            most = max(most, taken - seen)

    monkeypatch.setattr(NativeCodec, "decode", count)
    async with running() as server:
        other = asyncio.create_task(take_turns())
        heard = await converse(server, [START, *[b""] * 5000, {"type": "stop"}])
        other.cancel()

    assert heard.code == 1000
    assert taken == 5002
    assert most <= 2 * TURN_MESSAGES


async def test_a_fault_of_ours_is_told_logged_once_and_stays_with_its_stream(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as server:
        make = server.switchboard.make_vad

        def broken(aggressiveness: int) -> Any:
            monkeypatch.setattr(server.switchboard, "make_vad", make)
            return lambda frame: 1 / 0

        good = asyncio.create_task(transcribe(server, s16(GOOD), 3200))
        await until(lambda: server.admission.count == 1 and server.metrics.audio._value.get() > 0)
        monkeypatch.setattr(server.switchboard, "make_vad", broken)
        heard = await transcribe(server, s16(GOOD), 3200)

        assert (await good).finals == GOOD_FINALS
        assert await metric(server, 'streamer_errors_total{code="internal"}') == 1

    assert (heard.messages[-1]["code"], heard.code) == ("internal", 1011)
    assert "division" not in heard.messages[-1]["message"]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
