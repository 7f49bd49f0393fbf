"""A: input that is no HTTP, no WebSocket, or too much of either."""

from __future__ import annotations

import asyncio
import zlib

from tests.faults.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Ending,
    RawSocket,
    answer,
    frame,
    raw,
    request,
    status_of,
    upgrade,
)
from tests.faults.scene import Case, Scene

BOMB_BYTES = 64 * 2**20
GOODBYE_S = 1.0
MESSAGE = 2**20
"""server.max_message_bytes."""


async def no_http(scene: Scene) -> None:
    sizes = (1, 10, 100, 1000, 10_000) * 4 * scene.count
    statuses = [status_of(await answer(scene.port, scene.rng.randbytes(size) + b"\r\n\r\n")) for size in sizes]
    scene.expect(set(statuses) <= {400}, f"answered with {sorted(set(statuses))}")
    scene.saw(f"{len(statuses)} connections: 400 and closed")


async def wrong_requests(scene: Scene) -> None:
    found = {}
    for name, data in {
        "POST": request("/v1/stream", method="POST"),
        "no upgrade": request("/v1/stream"),
        "no method": request("/v1/stream", method="FETCH"),
        "HTTP/1.0": b"GET /v1/stream HTTP/1.0\r\n\r\n",
        "HTTP/9.9": b"GET /v1/stream HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "no key": request("/v1/stream", "Connection: Upgrade", "Upgrade: websocket"),
        "version 7": upgrade().replace(b"Version: 13", b"Version: 7"),
        "no host": b"GET /v1/stream HTTP/1.1\r\nConnection: close\r\n\r\n",
    }.items():
        found[name] = status_of(await answer(scene.port, data))
    scene.expect(all(400 <= status < 506 for status in found.values()), "an answer that is no refusal")
    scene.saw(", ".join(f"{name} {status}" for name, status in found.items()))


async def large_requests(scene: Scene) -> None:
    found = {}
    for name, data in {
        "200 headers": upgrade("/v1/stream", *[f"X-{n}: {n}" for n in range(200)]),
        "9 KiB header": upgrade("/v1/stream", "X: " + "x" * 9_216),
        "9 KiB path": upgrade("/v1/" + "x" * 9_216),
        "200 KiB header": request("/", "X: " + "x" * 200_000),
        "200 KiB path": request("/" + "x" * 200_000),
        "20,000 headers": request("/", *["X: x"] * 20_000),
    }.items():
        found[name] = status_of(await answer(scene.port, data))
    scene.expect(all(400 <= status < 500 for status in found.values()), "an answer that is no refusal")
    scene.saw(", ".join(f"{name} {status}" for name, status in found.items()))


def check_codes(scene: Scene, found: dict[str, Ending], code: int) -> None:
    for name, ending in found.items():
        scene.expect(ending.code == code, f"{name}: {code} expected, got {ending.code}")
    scene.saw(f"{', '.join(found)}: {code}")


async def broken_frames(scene: Scene) -> None:
    frames = {
        "unmasked": [frame(TEXT, b"{}", mask=False)],
        "reserved opcodes": [frame(0x3)],
        "reserved bits": [frame(BINARY, b"\0\0", reserved=5)],
        "close code 999": [frame(CLOSE, b"\x03\xe7")],
        "close of one byte": [frame(CLOSE, b"\x03")],
        "fragmented ping": [frame(PING, b"x", fin=False)],
        "ping of 126 bytes": [frame(PING, bytes(126))],
        "continuation of nothing": [frame(CONTINUATION, b"x")],
        "text within binary": [frame(BINARY, b"x", fin=False), frame(TEXT, b"x")],
    }
    check_codes(scene, {name: await raw(scene.port, *each) for name, each in frames.items()}, 1002)


async def giant_lengths(scene: Scene) -> None:
    found = {}
    for name, length in {"2^63-1": 2**63 - 1, "2^62": 2**62, "1 MiB + 1": MESSAGE + 1}.items():
        found[name] = await raw(scene.port, b"\x82\xff" + length.to_bytes(8) + bytes(4))
    check_codes(scene, found, 1009)
    fits = await raw(
        scene.port, frame(TEXT, b'{"type":"start"}'), frame(BINARY, bytes(70_000)), frame(TEXT, b'{"type":"stop"}')
    )
    scene.expect(fits.code == 1000, f"70,000 bytes: {fits.code}")


def deflated(size: int) -> bytes:
    """Return so many zeros as permessage-deflate has them."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(bytes(size)) + deflate.flush(zlib.Z_SYNC_FLUSH)


async def bomb(scene: Scene) -> None:
    clock = asyncio.get_running_loop().time
    data = await asyncio.to_thread(deflated, BOMB_BYTES)
    before = (await scene.subject.state()).memory_mib
    socket = await RawSocket.open(scene.port, headers=["Sec-WebSocket-Extensions: permessage-deflate"])
    began = clock()
    socket.write(frame(BINARY, data, reserved=4))
    ending = await socket.ending()
    took, growth = clock() - began, (await scene.subject.state()).memory_mib - before
    scene.expect(ending.code == 1002, f"1002 expected, got {ending.code}")
    scene.expect(took < GOODBYE_S, f"{took:.1f} s")
    scene.expect(growth < 5, f"{growth:+.1f} MiB")
    scene.saw(f"compression is declined; 1002 after {took:.2f} s, {growth:+.1f} MiB")


async def no_utf8(scene: Scene) -> None:
    check_codes(
        scene,
        {
            "invalid byte": await raw(scene.port, frame(TEXT, b'{"type":"start","prompt":"\xff"}')),
            "surrogate": await raw(scene.port, frame(TEXT, b'"\xed\xa0\x80"')),
            "cut character": await raw(scene.port, frame(TEXT, b'"\xe2\x82', fin=False), frame(CONTINUATION, b'"')),
            "overlong": await raw(scene.port, frame(TEXT, b"\xc0\xaf")),
        },
        1007,
    )


async def endless_message(scene: Scene) -> None:
    pieces = [frame(CONTINUATION, b"x", fin=False)] * 5000
    check_codes(
        scene,
        {
            "1-byte fragments": await raw(scene.port, frame(TEXT, b"{", fin=False), *pieces),
            "empty fragments": await raw(scene.port, frame(TEXT, fin=False), *[frame(CONTINUATION, fin=False)] * 5000),
            "fragments of 16 kB": await raw(
                scene.port, frame(BINARY, fin=False), *[frame(CONTINUATION, bytes(16_000), fin=False)] * 70
            ),
        },
        1009,
    )


CASES = (
    Case("A1", "random bytes instead of HTTP", "400, closed, no traceback", no_http),
    Case("A2", "wrong method, HTTP version, no upgrade, no key", "an HTTP error, closed", wrong_requests),
    Case(
        "A3", "header of 9 and 200 KiB, 200 and 20,000 headers, paths of 9 and 200 KiB", "an HTTP error", large_requests
    ),
    Case("A4", "frames that RFC 6455 forbids", "1002", broken_frames),
    Case("A5", "frame lengths of 2^63-1, 2^62 and 1 MiB + 1", "1009; 70,000 bytes are taken", giant_lengths),
    Case("A6", "64 MiB of zeros, compressed", "declined, closed in 1 s, below +5 MiB", bomb),
    Case("A7", "text that is not UTF-8", "1007", no_utf8),
    Case("A8", "a message of fragments without end", "1009", endless_message),
)
