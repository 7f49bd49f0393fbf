"""openai-agents' streamed transcription: prints one line a turn."""

from __future__ import annotations

import asyncio

from agents.voice import StreamedAudioInput, STTModelSettings
from speech import arguments, pieces, read, snippet

RATE = 24_000


async def main(port: int, path: str) -> None:
    """Feed the recording; end when the client says that all is transcribed."""
    given = StreamedAudioInput()
    session = await snippet("openai-agents", port)["stt"].create_session(
        given, STTModelSettings(), trace_include_sensitive_data=False, trace_include_sensitive_audio_data=False
    )

    async def push() -> None:
        async for piece in pieces(read(path, RATE), RATE):
            await given.add_audio(piece)
        await given.add_audio(None)

    async with asyncio.TaskGroup() as group:
        group.create_task(push())
        async for turn in session.transcribe_turns():
            print(turn, flush=True)
    await session.close()


asyncio.run(main(*arguments()))
