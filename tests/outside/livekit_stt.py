"""LiveKit's plug-ins for OpenAI and Deepgram (third argument): prints what is final."""

from __future__ import annotations

import asyncio
import sys

from livekit import rtc
from livekit.agents import stt, utils
from livekit.plugins import deepgram, openai
from speech import arguments, pieces, quiet, read


async def main(port: int, path: str) -> None:
    """Feed the recording, and listen until nothing comes any more."""
    base = f"http://127.0.0.1:{port}/v1"
    async with utils.http_context.open():
        if sys.argv[3] == "openai":
            rate, recognizer = 24_000, openai.STT(base_url=base, api_key="any", use_realtime=True, model="whisper-1")
        else:
            rate, recognizer = 16_000, deepgram.STT(base_url=f"{base}/listen", api_key="any")
        stream = recognizer.stream()

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
