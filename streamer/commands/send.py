"""`streamer send`: push files through a daemon as if they were spoken now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clients.file import FileError, SoundFile, paced, shown_name
from clients.resuming import connect_resuming
from model.types import Samples, Task
from streamer.commands.complaints import complain
from streamer.commands.displays import CaptionFormat, display_for
from streamer.commands.outcome import CommandError, Exit
from streamer.commands.transfer import transfer

DEFAULT_SERVER = "ws://127.0.0.1:8765"
GIVE_UP_S = 300.0
"""A file can be sent again; a daemon that loads a large model needs minutes to come back."""


def send(
    files: Annotated[list[Path], Parameter(name="FILE", json_list=False)],
    /,
    *,
    server: str = DEFAULT_SERVER,
    token: str = "",
    ca_file: Path | None = None,
    speed: float = 1.0,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    prompt: str = "",
    languages: tuple[str, ...] = (),
    hotwords: tuple[str, ...] = (),
    format: CaptionFormat = CaptionFormat.TEXT,  # noqa: A002  # the name of the flag
    plain: bool = False,
) -> int:
    """Push sound files through a daemon, one stream each, and show the captions as they arrive.

    Args:
        files: Sound files: WAV, FLAC, Ogg, MP3.
        server: Address of the daemon.
        token: Bearer token, where the daemon asks for one.
        ca_file: Authority that a wss:// address is trusted by (PEM); none means those of the system or SSL_CERT_FILE.
        speed: 1 sends in real time, 2 twice as fast, 0 as fast as the daemon accepts.
        language: Code such as en; none lets the model find out.
        task: Write what was said, or its translation into English.
        prompt: Names and topics that may occur.
        languages: Codes to choose from where no language is given; repeat the flag.
        hotwords: Names and terms that may occur, to be spelt so; repeat the flag.
        format: text, or json for the messages of the protocol, one a line.
        plain: Print finished lines only, also in a terminal.
    """
    if not 0 <= speed < float("inf"):
        raise CommandError(f"speed must be 0 (as fast as accepted) or more, got {speed:g}", Exit.USAGE)

    async def push(path: Path) -> None:
        damage: list[FileError] = []
        with SoundFile(path) as sound:
            async with connect_resuming(
                server,
                token=token,
                notice=complain,
                give_up_s=GIVE_UP_S,
                ca_file=ca_file,
                language=language,
                task=task,
                prompt=prompt,
                languages=list(languages),
                hotwords=list(hotwords),
            ) as stream:
                with display_for(format, plain=plain, source=shown_name(path)) as display:
                    await transfer(stream, paced(readable(sound.blocks(), damage), speed), display)
        for error in damage:
            raise error

    failed = False
    for path in files:
        try:
            asyncio.run(push(path))
        except FileError as error:
            # The other files are none the worse for it.
            failed = True
            complain(str(error))
    return Exit.FAILED if failed else Exit.OK


def readable(blocks: Iterator[Samples], damage: list[FileError]) -> Iterator[Samples]:
    """Yield blocks up to where a file is damaged, which is noted: what was said before is heard and shown."""
    try:
        yield from blocks
    except FileError as error:
        damage.append(error)
