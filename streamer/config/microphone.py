"""The daemon's own microphone."""

from __future__ import annotations

from dataclasses import dataclass

from model.types import Task


@dataclass(frozen=True, slots=True)
class MicrophoneConfig:
    """The daemon's own microphone, whose session is named `microphone`."""

    enabled: bool = False
    """Record and transcribe what a microphone of this machine hears."""
    device: str = ""
    """Number, part of the name, or = and the whole name, from `streamer devices`; empty takes the system's default."""
    language: str = ""
    """Code such as en; empty detects it in each utterance."""
    languages: tuple[str, ...] = ()
    """Codes to choose from where no language is given; none: those of the sessions."""
    task: Task = Task.TRANSCRIBE
    """transcribe, or translate into English."""
    prompt: str = ""
    """Names and topics that may occur."""
    hotwords: tuple[str, ...] = ()
    """Names and terms that may occur, to be spelt so."""
