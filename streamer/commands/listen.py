"""`streamer listen`: a microphone, and captions in the terminal."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clients.connection import Stream
from clients.resuming import connect_resuming
from clients.resuming_stream import ResumingStream
from model.types import Recognizer, Task
from streamer import logs
from streamer.capture.microphone import Microphone
from streamer.capture.portaudio import find_input, load_portaudio
from streamer.commands.complaints import complain
from streamer.commands.displays import CaptionFormat, display_for
from streamer.commands.loading import load_recognizer
from streamer.commands.outcome import Exit
from streamer.commands.settings import RecognitionSettings
from streamer.commands.transfer import interrupted, sounds_of, transfer
from streamer.protocols.messages import Start

DEFAULTS = RecognitionSettings()


def listen(
    *,
    device: str | None = None,
    server: str | None = None,
    token: str = "",
    ca_file: Path | None = None,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    prompt: str = "",
    languages: tuple[str, ...] = (),
    hotwords: tuple[str, ...] = (),
    format: CaptionFormat = CaptionFormat.TEXT,  # noqa: A002  # the name of the flag
    plain: bool = False,
    settings: Annotated[RecognitionSettings, Parameter(name="*")] = DEFAULTS,
) -> int:
    """Show captions of what a microphone hears, until Ctrl-C.

    The model runs in this process, or, with --server, in a daemon that is running already.

    Args:
        device: Number, part of the name, or = and the whole name of the microphone, from `streamer devices`.
        server: Address of a daemon, such as ws://127.0.0.1:8765.
        token: Bearer token, where the daemon asks for one.
        ca_file: Authority that a wss:// address is trusted by (PEM); none means those of the system or SSL_CERT_FILE.
        language: Code such as en; none lets the model find out.
        task: Write what was said, or its translation into English.
        prompt: Names and topics that may occur.
        languages: Codes to choose from where no language is given; repeat the flag.
        hotwords: Names and terms that may occur, to be spelt so; repeat the flag.
        format: text, or json for the messages of the protocol, one a line.
        plain: Print finished lines only, also in a terminal.
        settings: What recognition in this process is told.
    """
    logs.configure(settings.log)
    find_input(load_portaudio(), device)  # before a model is loaded in vain
    start = Start(
        encoding="pcm_f32le",
        language=language,
        task=task,
        prompt=prompt,
        languages=list(languages),
        hotwords=list(hotwords),
    )
    recognizer = None if server is not None else prepare(settings)

    def stream() -> AbstractAsyncContextManager[Stream | ResumingStream]:
        if recognizer is None:
            return connect_resuming(
                server or "",
                token=token,
                ca_file=ca_file,
                live=True,
                notice=complain,
                language=language,
                task=task,
                prompt=prompt,
                languages=list(languages),
                hotwords=list(hotwords),
            )
        # Imports the daemon, which captions from another machine do not need.
        from streamer.commands.local import local_stream  # noqa: PLC0415

        return local_stream(recognizer, settings, start)

    async def caption() -> None:
        with interrupted() as stop:
            async with stream() as opened:
                with display_for(format, plain=plain, source=opened.ready.model) as display:
                    async with aclosing(sounds_of(Microphone(device), display)) as sounds:
                        await transfer(opened, sounds, display, stop)

    asyncio.run(caption())
    return Exit.OK


def prepare(settings: RecognitionSettings) -> Recognizer:
    """Load the model, saying so, for it may take a while."""
    complain("loading the model …")
    return load_recognizer(settings.model)
