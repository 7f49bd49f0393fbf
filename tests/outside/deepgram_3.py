"""deepgram-sdk 3, in threads: prints what is final."""

from __future__ import annotations

import asyncio
from typing import Any

from deepgram import LiveOptions, LiveTranscriptionEvents
from speech import arguments, pieces, quiet, read, snippet

RATE = 16_000


async def main(port: int, path: str) -> None:
    """Feed the recording and wait for what is heard: half a second after CloseStream, `finish` closes by itself."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    client = snippet("deepgram-3", port)["client"]
    connection = client.listen.websocket.v("1")

    def show(_: object, result: Any, **__: object) -> None:
        if result.is_final:
            print(result.channel.alternatives[0].transcript, flush=True)
        loop.call_soon_threadsafe(news.set)

    connection.on(LiveTranscriptionEvents.Transcript, show)
    if not connection.start(LiveOptions(model="nova-2", encoding="linear16", sample_rate=RATE, smart_format=True)):
        raise SystemExit("no connection")
    async for piece in pieces(read(path, RATE), RATE):
        connection.send(piece.tobytes())
    await quiet(news)
    connection.finish()


asyncio.run(main(*arguments()))
