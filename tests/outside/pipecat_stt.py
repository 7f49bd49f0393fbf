"""Pipecat's services for OpenAI and Deepgram (third argument): prints what is final."""

from __future__ import annotations

import asyncio
import sys

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from speech import arguments, pieces, quiet, read, snippet


class Printer(FrameProcessor):
    """Prints transcripts, and notes that there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Look at a frame and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            sys.exit(f"error: {frame.error}")
        if isinstance(frame, TranscriptionFrame):
            print(frame.text, flush=True)
            self.news.set()
        await self.push_frame(frame, direction)


async def main(port: int, path: str) -> None:
    """Feed the recording, and listen until nothing comes any more."""
    rate = 24_000 if sys.argv[3] == "openai" else 16_000
    service = snippet(f"pipecat-{sys.argv[3]}", port)["stt"]
    printer = Printer()
    task = PipelineTask(Pipeline([service, printer]), params=PipelineParams(audio_in_sample_rate=rate))

    async def push() -> None:
        await task.queue_frame(VADUserStartedSpeakingFrame())
        async for piece in pieces(read(path, rate), rate):
            await task.queue_frame(InputAudioRawFrame(audio=piece.tobytes(), sample_rate=rate, num_channels=1))
        await task.queue_frame(VADUserStoppedSpeakingFrame())
        await quiet(printer.news)
        await task.queue_frame(EndFrame())

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), push())


asyncio.run(main(*arguments()))
