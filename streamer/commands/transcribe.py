"""`streamer transcribe`: files as a whole, for text, subtitles or further processing."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clients.file import FileError, SoundFile, shown_name
from model.types import SAMPLE_RATE, Samples, Task, Transcriber
from streamer.commands.complaints import complain
from streamer.commands.loading import load_transcriber
from streamer.commands.outcome import CommandError, Exit
from streamer.commands.settings import ModelSettings
from streamer.core.formats import Transcript, TranscriptFormat, render
from streamer.core.hotwords import with_hotwords

DEFAULTS = ModelSettings()
SUFFIXES = {
    TranscriptFormat.TEXT: ".txt",
    TranscriptFormat.JSON: ".json",
    TranscriptFormat.SRT: ".srt",
    TranscriptFormat.VTT: ".vtt",
}


def transcribe(
    files: Annotated[list[Path], Parameter(name="FILE", json_list=False)],
    /,
    *,
    format: TranscriptFormat = TranscriptFormat.TEXT,  # noqa: A002  # the name of the flag
    output: str | None = None,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    prompt: str = "",
    hotwords: tuple[str, ...] = (),
    batch: int = 4,
    settings: Annotated[ModelSettings, Parameter(name="*")] = DEFAULTS,
) -> int:
    """Transcribe whole sound files of any length, in this process.

    Of the model's settings, encoder-context, encoder-reuse and max-batch are for streams, and change nothing here.

    Args:
        files: Sound files: WAV, FLAC, Ogg, MP3.
        format: text, json (segments and words with times and probabilities), or subtitles: srt, vtt.
        output: Where to write: a file, or a folder (one that exists, or `name/`), which several files need unless it is
            text; else standard output.
        language: Code such as en; none lets the model find out.
        task: Write what was said, or its translation into English.
        prompt: Names and topics that may occur.
        hotwords: Names and terms that may occur, to be spelt so; repeat the flag.
        batch: Files that are transcribed at once; more is faster on a GPU and takes more memory.
        settings: The model.
    """
    targets = plan(files, format, output)
    if batch < 1:
        raise CommandError(f"--batch must be at least 1, got {batch}", Exit.USAGE)
    transcriber = load_transcriber(settings.model)
    if language is not None and language not in transcriber.card.languages:
        allowed = ", ".join(sorted(transcriber.card.languages))
        raise CommandError(f"--language must be one of {allowed}, got {language!r}", Exit.USAGE)
    if task not in transcriber.card.tasks:
        allowed = ", ".join(transcriber.card.tasks)
        raise CommandError(f"--task must be one of {allowed} with {transcriber.card.name}, got {task}", Exit.USAGE)
    failed = 0
    told = with_hotwords(prompt, hotwords)
    jobs = list(zip(files, targets, strict=True))
    with progress_bar() as bar:
        for start in range(0, len(jobs), batch):
            some = [
                Job(file, target, audio)
                for file, target in jobs[start : start + batch]
                if (audio := read(file)) is not None
            ]
            transcripts = hear(transcriber, some, bar, language=language, task=task, prompt=told)
            written = [write(render(one, format), job.target) for job, one in zip(some, transcripts, strict=True)]
            failed += len(jobs[start : start + batch]) - sum(written)
    return Exit.FAILED if failed else Exit.OK


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One file that could be read."""

    file: Path
    target: Path | None
    """Where its transcript goes; None is standard output."""
    audio: Samples


def read(file: Path) -> Samples | None:
    """Return a file's samples; if it cannot be read, say why: the others are none the worse for it."""
    try:
        with SoundFile(file) as sound:
            return sound.read()
    except FileError as error:
        complain(str(error))
        return None


def plan(files: Sequence[Path], style: TranscriptFormat, output: str | None) -> list[Path | None]:
    """Return where each transcript goes; None is standard output. Raises CommandError for what is ambiguous."""
    if output is None:
        if len(files) > 1 and style is not TranscriptFormat.TEXT:
            raise CommandError(f"{style} of several files needs a folder: --output FOLDER", Exit.USAGE)
        return [None] * len(files)
    target = Path(output)
    names_a_folder = output.endswith(("/", os.sep))  # which a Path forgets
    if len(files) == 1 and not target.is_dir() and not names_a_folder:
        return [target]
    if target.exists() and not target.is_dir():
        raise CommandError(f"--output must be a folder here, and {output} is none", Exit.USAGE)
    targets = [target / f"{file.stem}{SUFFIXES[style]}" for file in files]
    twice = [str(path) for path, count in Counter(targets).items() if count > 1]
    if twice:
        raise CommandError(f"several files would be written to {', '.join(twice)}", Exit.USAGE)
    return list(targets)


def hear(
    transcriber: Transcriber, jobs: Sequence[Job], bar: Progress, *, language: str | None, task: Task, prompt: str
) -> list[Transcript]:
    """Transcribe files at once, each with a bar on standard error."""
    bars = [bar.add_task(shown_name(job.file), total=len(job.audio) / SAMPLE_RATE) for job in jobs]

    def advance(decided: Sequence[int]) -> None:
        for shown, place in zip(bars, decided, strict=True):
            bar.update(shown, completed=place / SAMPLE_RATE)

    found = transcriber.transcribe(
        [job.audio for job in jobs], language=language, task=task, prompt=prompt, progress=advance
    )
    advance([len(job.audio) for job in jobs])
    return [Transcript(one.segments, one.language, one.end) for one in found]


def progress_bar() -> Progress:
    """Return a bar for a terminal; nothing is drawn into a file."""
    errors = Console(stderr=True)
    parts = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    return Progress(*parts, console=errors, transient=True, disable=not errors.is_terminal)


def write(text: str, target: Path | None) -> bool:
    """Write a transcript to a file or to standard output; say why if that cannot be done, and return whether it was."""
    if target is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return True
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        complain(f"{target}: {error.strerror or error}")
        return False
    return True
