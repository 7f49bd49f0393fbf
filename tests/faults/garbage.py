"""Input of all kinds of wrongness, made from a seed, and what a daemon does with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from tests.faults.raw import BINARY, TEXT, frame, request, status_of, upgrade

PATHS = ("/v1/stream", "/v1/realtime", "/v1/listen", "/vosk", "/whisperlive", "/", "/v1/watch/x", "/nowhere")
ANSWER_S = 12.0
HANDSHAKE = b"<the server's answer>"
"""Where a client waits for the WebSocket to be open."""
AT_ONCE = 32
CHATTER = (
    b'{"type":"start"}',
    b'{"type":"start","encoding":"pcm_f32le"}',
    b'{"type":"stop"}',
    b'{"type":"flush","id":"1"}',
    b'{"type":"session.update","session":{}}',
    b'{"type":"input_audio_buffer.append","audio":"AAAA"}',
    b'{"config":{"sample_rate":8000}}',
    b'{"eof":1}',
    b'{"uid":"x","language":"en","task":"transcribe","model":"small","use_vad":true}',
    b'{"type":"KeepAlive"}',
    b'{"type":"CloseStream"}',
    b"END_OF_AUDIO",
)


def noise(rng: Random) -> bytes:
    """Bytes without sense."""
    return rng.randbytes(rng.randint(0, 2000)) + b"\r\n\r\n"


def bent_request(rng: Random) -> bytes:
    """A request with bytes changed, doubled or left out."""
    good = rng.choice(
        [request(rng.choice(PATHS)), upgrade(rng.choice(PATHS)), request("/v1/audio/transcriptions", method="POST")]
    )
    return bend(rng, good)


def bend(rng: Random, data: bytes) -> bytes:
    """Change some of it."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                del changed[at : at + rng.randint(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + 50]
            case _:
                changed[at:at] = rng.randbytes(rng.randint(1, 20))
    return bytes(changed)


def bent_frames(rng: Random) -> bytes:
    """A WebSocket whose frames, or their content, are wrong."""
    frames = b""
    for _ in range(rng.randint(1, 6)):
        data = rng.choice(CHATTER) if rng.random() < 0.7 else rng.randbytes(rng.randint(0, 500))
        if rng.random() < 0.5:
            data = bend(rng, data)
        opcode = rng.choice([TEXT, TEXT, BINARY, rng.randrange(16)])
        frames += frame(
            opcode, data, fin=rng.random() < 0.9, mask=rng.random() < 0.97, reserved=rng.choice([0] * 9 + [4])
        )
    return upgrade(rng.choice(PATHS)) + HANDSHAKE + (bend(rng, frames) if rng.random() < 0.3 else frames)


def cut_short(rng: Random) -> bytes:
    """Something good that ends in the middle."""
    whole = upgrade("/v1/stream") + HANDSHAKE + frame(TEXT, CHATTER[0]) + frame(BINARY, bytes(2000))
    return whole[: rng.randrange(len(whole))]


def good_bytes(rng: Random) -> bytes:
    """A whole good session, between the bad ones."""
    return (
        upgrade() + frame(TEXT, CHATTER[0]) + frame(BINARY, bytes(2 * rng.randint(0, 2000))) + frame(TEXT, CHATTER[2])
    )


KINDS: Final[dict[str, Callable[[Random], bytes]]] = {
    "noise": noise,
    "requests": bent_request,
    "frames": bent_frames,
    "cut": cut_short,
    "good": good_bytes,
}
WEIGHTS = (2, 3, 4, 1, 1)


def throw_all(port: int, seed: int, count: int) -> Counter[str]:
    """Do as `throw` does, in a process of its own."""
    return asyncio.run(throw(port, Random(seed), count))


async def throw(port: int, rng: Random, count: int) -> Counter[str]:
    """Open so many connections, some at a time, send each something, and count how they end."""
    endings: Counter[str] = Counter()
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            (kind,) = rng.choices(list(KINDS), WEIGHTS)
            endings[await ending(port, KINDS[kind](rng), rng.random() < 0.5)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, count)):
            group.create_task(one_after_another())
    return endings


async def ending(port: int, data: bytes, patient: bool) -> str:
    """Send bytes and the end of them; say how it ended. Who is not `patient` waits for nothing and goes away at once."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return "dropped"
    try:
        head, _, rest = data.partition(HANDSHAKE)
        writer.write(head)
        if rest and patient:
            async with asyncio.timeout(ANSWER_S):
                await reader.readuntil(b"\r\n\r\n")
        writer.write(rest)
        if not patient:
            return "left"
        writer.write_eof()
        async with asyncio.timeout(ANSWER_S):
            received = b""
            while more := await reader.read(65_536):
                received = (received + more)[:100]
        return f"HTTP {status_of(received)}" if received else "closed"
    except asyncio.IncompleteReadError:
        return "refused"
    except TimeoutError:
        return "hung"
    except OSError:
        return "reset"
    finally:
        with suppress(OSError):
            writer.transport.abort()
