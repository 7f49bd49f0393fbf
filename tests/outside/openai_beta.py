"""openai-python of the time of the beta interface: prints one line an item."""

from __future__ import annotations

import asyncio
from base64 import b64encode

from speech import arguments, pieces, quiet, read, snippet

RATE = 24_000
COMPLETED = "conversation.item.input_audio_transcription.completed"


async def main(port: int, path: str) -> None:
    """Feed the recording, and listen until nothing comes any more."""
    client = snippet("openai-beta", port)["client"]
    async with client.beta.realtime.connect(model="whisper-1", extra_query={"intent": "transcription"}) as connection:
        await connection.transcription_session.update(session={"input_audio_format": "pcm16"})

        async def push() -> None:
            async for piece in pieces(read(path, RATE), RATE):
                await connection.input_audio_buffer.append(audio=b64encode(piece.tobytes()).decode())

        news = asyncio.Event()

        async def listen() -> None:
            async for event in connection:
                if event.type == COMPLETED:
                    print(event.transcript, flush=True)
                    news.set()

        pushing, listening = asyncio.create_task(push()), asyncio.create_task(listen())
        await pushing
        await quiet(news)
        listening.cancel()


asyncio.run(main(*arguments()))
