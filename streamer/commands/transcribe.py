"""`streamer transcribe`: files as a whole, for text, subtitles or further processing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clients.file import FileError, SoundFile
from clients.formats import Transcript, TranscriptFormat, render
from model.types import SAMPLE_RATE, Recognizer, Segment, Task
from streamer.commands.complaints import complain
from streamer.commands.loading import load_recognizer
from streamer.commands.outcome import CommandError, Exit
from streamer.commands.settings import ModelSettings

DEFAULTS = ModelSettings()
SUFFIXES = {
    TranscriptFormat.TEXT: ".txt",
    TranscriptFormat.JSON: ".json",
    TranscriptFormat.SRT: ".srt",
    TranscriptFormat.VTT: ".vtt",
}


def transcribe(
    files: Annotated[list[Path], Parameter(name="FILE")],
    /,
    *,
    format: TranscriptFormat = TranscriptFormat.TEXT,  # noqa: A002  # the name of the flag
    output: Path | None = None,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    prompt: str = "",
    settings: Annotated[ModelSettings, Parameter(name="*")] = DEFAULTS,
) -> int:
    """Transcribe whole sound files of any length, in this process.

    Args:
        files: Sound files: WAV, FLAC, Ogg, MP3.
        format: text, json (segments and words with times and probabilities), or subtitles: srt, vtt.
        output: Where to write: a file, or a folder, which several files need for subtitles; else standard output.
        language: Code such as en; none lets the model find out.
        task: Write what was said, or its translation into English.
        prompt: Names and topics that may occur.
        settings: The model.
    """
    targets = plan(files, format, output)
    recognizer = load_recognizer(settings.model)
    if language is not None and language not in recognizer.card.languages:
        allowed = ", ".join(sorted(recognizer.card.languages))
        raise CommandError(f"--language must be one of {allowed}, got {language!r}", Exit.USAGE)
    failed = False
    for file, target in zip(files, targets, strict=True):
        try:
            text = render(hear(recognizer, file, language=language, task=task, prompt=prompt), format)
            write(text, target)
        except FileError as error:
            failed = True  # the other files are none the worse for it
            complain(str(error))
    return Exit.FAILED if failed else Exit.OK


def plan(files: Sequence[Path], style: TranscriptFormat, output: Path | None) -> list[Path | None]:
    """Return where each transcript goes; None is standard output. Raises CommandError for what is ambiguous."""
    if output is None:
        if len(files) > 1 and style in {TranscriptFormat.SRT, TranscriptFormat.VTT}:
            raise CommandError("subtitles of several files need a folder: --output FOLDER", Exit.USAGE)
        return [None] * len(files)
    if len(files) == 1 and not output.is_dir():
        return [output]
    if output.exists() and not output.is_dir():
        raise CommandError(f"several files need a folder, and --output {output} is none", Exit.USAGE)
    targets = [output / f"{file.stem}{SUFFIXES[style]}" for file in files]
    twice = [str(target) for target, count in Counter(targets).items() if count > 1]
    if twice:
        raise CommandError(f"several files would be written to {', '.join(twice)}", Exit.USAGE)
    return list(targets)


def hear(recognizer: Recognizer, file: Path, *, language: str | None, task: Task, prompt: str) -> Transcript:
    """Transcribe one file, with a bar on standard error. Raises FileError."""
    long_form = import_module("model.transcribe").transcribe
    segments: list[Segment] = []
    end = 0
    with SoundFile(file) as sound, progress_bar() as bar:
        heard = bar.add_task(file.name, total=sound.duration_s)
        for passage in long_form(recognizer, sound.blocks(), language=language, task=task, context=prompt):
            segments += passage.segments
            end, language = passage.end, passage.language
            bar.update(heard, completed=end / SAMPLE_RATE)
    return Transcript(tuple(segments), language or "", end)


def progress_bar() -> Progress:
    """Return a bar for a terminal; nothing is drawn into a file."""
    errors = Console(stderr=True)
    parts = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn()
    return Progress(*parts, console=errors, transient=True, disable=not errors.is_terminal)


def write(text: str, target: Path | None) -> None:
    """Write a transcript to a file or to standard output. Raises FileError for a file that cannot be written."""
    if target is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{target}: {error.strerror or error}") from error
