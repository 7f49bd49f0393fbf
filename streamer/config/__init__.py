"""Every setting and its default, a file a section; defaults exist nowhere else.

Flag, environment variable (STREAMER_…), TOML key and help text all follow from the fields and their docstrings.
Raises ConfigError from a field's check, with the value and what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer.config.check import ConfigError, require
from streamer.config.endpoint import EndpointConfig
from streamer.config.http import HttpConfig
from streamer.config.journal import Durability, JournalConfig
from streamer.config.line import LineConfig
from streamer.config.log import LogConfig, LogFormat
from streamer.config.microphone import MicrophoneConfig
from streamer.config.model import DemoModelConfig, EncoderContext, EncoderReuse, ModelConfig
from streamer.config.server import ServerConfig
from streamer.config.session import CommitPolicyName, SessionConfig
from streamer.config.watch import WatchConfig
from streamer.config.worker import WorkerConfig, WorkerProcess
from streamer.config.wyoming import WyomingConfig

__all__ = [
    "CommitPolicyName",
    "Config",
    "ConfigError",
    "DemoModelConfig",
    "Durability",
    "EncoderContext",
    "EncoderReuse",
    "EndpointConfig",
    "HttpConfig",
    "JournalConfig",
    "LineConfig",
    "LogConfig",
    "LogFormat",
    "MicrophoneConfig",
    "ModelConfig",
    "ServerConfig",
    "SessionConfig",
    "WatchConfig",
    "WorkerConfig",
    "WorkerProcess",
    "WyomingConfig",
    "require",
]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything."""

    model: ModelConfig = field(default_factory=ModelConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    wyoming: WyomingConfig = field(default_factory=WyomingConfig)
    line: LineConfig = field(default_factory=LineConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    log: LogConfig = field(default_factory=LogConfig)
