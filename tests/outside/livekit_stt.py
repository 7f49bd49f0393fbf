"""LiveKit's plug-ins for OpenAI and Deepgram (third argument): prints what is final."""

from __future__ import annotations

import asyncio
import sys

from livekit import rtc
from livekit.agents import stt, utils
from speech import arguments, pieces, quiet, read, snippet


async def main(port: int, path: str) -> None:
    """Feed the recording, and listen until nothing comes any more."""
    async with utils.http_context.open():
        rate = 24_000 if sys.argv[3] == "openai" else 16_000
        stream = snippet(f"livekit-{sys.argv[3]}", port)["stt"].stream()

        news = asyncio.Event()

        async def listen() -> None:
            async for event in stream:
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    print(event.alternatives[0].text, flush=True)
                    news.set()

        listening = asyncio.create_task(listen())
        async for piece in pieces(read(path, rate), rate):
            stream.push_frame(rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece)))
        await quiet(news)
        listening.cancel()
        await stream.aclose()


asyncio.run(main(*arguments()))
