"""Every setting and its default; defaults exist nowhere else.

Flag, environment variable (STREAMER_…), TOML key and help text all follow from the fields and their docstrings.
Raises ConfigError from a field's check, with the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from model.types import Task


class ConfigError(Exception):
    """A setting that cannot be: the operator's to mend. Exit code 78."""


class EncoderContext(StrEnum):
    """How much audio the encoder is shown."""

    AUTO = "auto"
    """Dynamic on a CPU for a model whose card says it was trained for it, full otherwise."""
    FULL = "full"
    """Always 30 s, padded with silence, as Whisper was trained."""
    DYNAMIC = "dynamic"
    """The audio plus a margin of silence."""


class CommitPolicyName(StrEnum):
    """When a word is said for good."""

    AGREEMENT = "agreement"
    """When two hypotheses in a row agree on it."""
    ATTENTION = "attention"
    """That, or at first sight if the decoder was sure of it and looked well before the end of the audio."""


class WorkerProcess(StrEnum):
    """Where the recognizer runs."""

    CHILD = "child"
    """In a process of its own, which is started again when it dies or hangs."""
    OWN = "own"
    """In the daemon's, which ends with it."""


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


class Durability(StrEnum):
    """What text that was told survives."""

    FULL = "full"
    """A power cut: it is on the disk before it is told."""
    NORMAL = "normal"
    """The end of the daemon, however sudden; a power cut may take the last seconds."""
    MEMORY = "memory"
    """A lost connection; nothing is written to a disk."""


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high."""
    if not low <= value <= high:  # also catches NaN
        raise ConfigError(f"{name} must be in [{low:g}, {high:g}], got {value:g}")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which model, where and how."""

    name: str = "auto"
    """demo, a hub name (openai/whisper-large-v3-turbo), a folder in Hugging Face layout, an openai .pt, or auto."""
    device: str = "auto"
    """cpu, cuda, cuda:1 …; auto takes a GPU if there is one."""
    precision: str = "auto"
    """float32, int8 (CPU), bfloat16, float16 (GPU); auto: int8 on a CPU, float32 for a tiny model, float16 on a GPU."""
    threads: int = 0
    """CPU threads for the model; 0 leaves one core to the event loop."""
    encoder_context: EncoderContext = EncoderContext.AUTO
    """full, dynamic or auto."""
    max_batch: int = 32
    """Windows decoded together at most."""
    offline: bool = False
    """Never ask a hub; use what is on the disk."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("model.threads", self.threads, 0, 1024)
        require("model.max_batch", self.max_batch, 1, 1024)


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """When speech starts and ends."""

    vad_aggressiveness: int = 1
    """WebRTC VAD mode: 0 lets most sound pass, 3 the least."""
    onset_ms: int = 90
    """Speech needed within the onset window before an utterance starts."""
    onset_window_ms: int = 240
    """Length of the window in which onset_ms of speech must fall."""
    pre_roll_ms: int = 400
    """Audio kept from before the onset."""
    hangover_ms: int = 500
    """Silence after which the utterance is finalised."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("endpoint.vad_aggressiveness", self.vad_aggressiveness, 0, 3)
        require("endpoint.onset_ms", self.onset_ms, 30, 1000)
        require("endpoint.onset_window_ms", self.onset_window_ms, self.onset_ms, 2000)
        require("endpoint.pre_roll_ms", self.pre_roll_ms, 0, 5000)
        require("endpoint.hangover_ms", self.hangover_ms, 60, 10_000)


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """How a stream is decoded and committed."""

    update_interval_ms: int = 400
    """New audio needed before an open utterance is decoded again."""
    max_update_interval_ms: int = 1_600
    """The same at most, while the device cannot keep up with all streams; beyond that new ones are refused."""
    commit_margin_ms: int = 300
    """A word that ends closer than this to the end of the audio waits."""
    commit_policy: CommitPolicyName = CommitPolicyName.ATTENTION
    """agreement: what two hypotheses agree on; attention: that, and words that are sure at first sight."""
    attention_distance_ms: int = 300
    """The decoder's attention to a word that is sure at first sight ends this long before the audio, at least."""
    attention_probability: float = 0.95
    """Probability of a word that is sure at first sight, at least."""
    trim_after_ms: int = 12_000
    """Window length beyond which committed audio is trimmed."""
    left_context_ms: int = 4_000
    """Committed audio kept in the window when trimming."""
    max_backlog_ms: int = 60_000
    """Audio a session holds undecided; beyond it the connection stops reading, and nothing is dropped."""
    prompt_tokens: int = 223
    """Tokens of earlier text given to the decoder, at most; 0 decodes each window by itself."""
    languages: tuple[str, ...] = ()
    """Codes that are detected where a client names no language and no languages; none: all that the model has."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("session.update_interval_ms", self.update_interval_ms, 50, 10_000)
        require("session.max_update_interval_ms", self.max_update_interval_ms, 50, 20_000)
        require("session.commit_margin_ms", self.commit_margin_ms, 0, 5_000)
        require("session.attention_distance_ms", self.attention_distance_ms, 0, 5_000)
        require("session.attention_probability", self.attention_probability, 0, 1)
        require("session.trim_after_ms", self.trim_after_ms, 5_000, 28_000)
        require("session.left_context_ms", self.left_context_ms, 0, self.trim_after_ms / 2)
        require("session.max_backlog_ms", self.max_backlog_ms, 35_000, 600_000)
        require("session.prompt_tokens", self.prompt_tokens, 0, 223)

    def check_languages(self, known: Sequence[str]) -> None:
        """Raise ConfigError for languages that a model does not have."""
        if unknown := [code for code in self.languages if code not in known]:
            allowed, got = ", ".join(sorted(known)), ", ".join(map(repr, unknown))
            raise ConfigError(f"session.languages must be some of {allowed}, got {got}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the daemon listens and what it allows."""

    host: str = "127.0.0.1"
    """Address to bind; beyond loopback a token or --server.insecure is required."""
    port: int = 8765
    """TCP port; 0 takes a free one and prints it."""
    token: str = ""
    """Bearer token that clients must send, or its digest, which `streamer token` makes; empty asks for none."""
    token_file: Path | None = None
    """File that holds the token (a systemd credential, for example), or several, one a line."""
    watch_token: str = ""
    """Token that lets watch captions and nothing else, in the same form; server.token lets watch too."""
    watch_token_file: Path | None = None
    """File that holds it, or several."""
    admin_token: str = ""
    """Token for /metrics, in the same form; without one they are told to this machine only."""
    admin_token_file: Path | None = None
    """File that holds it, or several."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain: the port speaks TLS then, and nothing else. Read again on change."""
    tls_key: Path | None = None
    """PEM file with the private key, unencrypted, if it is not in the certificate's."""
    insecure: bool = False
    """Allow binding beyond loopback without a token."""
    max_sessions: int = 64
    """Streams at once; one more is refused with 1013."""
    max_connections: int = 0
    """Connections at once, of whatever kind; one more is dropped; 0: as many as sessions and viewers can need."""
    max_connections_per_address: int = 256
    """The same from one address (IPv6: from one /64) that is not this machine's; 0 sets no bound."""
    max_handshakes_per_address: int = 64
    """Of those, connections that have not asked for anything yet; 0 sets no bound."""
    max_load: float = 0.9
    """Share of its time the device may be needed at the widest update interval; beyond it 1013 too; 0 sets no bound."""
    max_message_bytes: int = 1_048_576
    """Largest WebSocket message; a larger one closes with 1009. Where audio is base64, /v1/realtime: 24 MiB."""
    open_timeout_s: float = 10.0
    """Time to the first message after connecting."""
    idle_timeout_s: float = 300.0
    """Longest silence of a client on the wire before it is closed with 1008; 0 allows any."""
    send_timeout_s: float = 10.0
    """Time a client has to take a message before it is cut."""
    drain_timeout_s: float = 10.0
    """Time running sessions have to finish after SIGTERM."""
    resume_s: float = 120.0
    """Time a resumable session waits for a client that was lost before it is decided; 0 lets none be resumed."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("server.port", self.port, 0, 65_535)
        require("server.max_sessions", self.max_sessions, 1, 100_000)
        require("server.max_connections", self.max_connections, 0, 1_000_000)
        require("server.max_connections_per_address", self.max_connections_per_address, 0, 1_000_000)
        require("server.max_handshakes_per_address", self.max_handshakes_per_address, 0, 1_000_000)
        require("server.max_load", self.max_load, 0, 10)
        require("server.max_message_bytes", self.max_message_bytes, 4_096, 64 * 1_048_576)
        require("server.open_timeout_s", self.open_timeout_s, 0.05, 3600)
        require("server.idle_timeout_s", self.idle_timeout_s, 0, 86_400)
        require("server.send_timeout_s", self.send_timeout_s, 0.05, 3600)
        require("server.drain_timeout_s", self.drain_timeout_s, 0, 3600)
        require("server.resume_s", self.resume_s, 0, 86_400)


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """What may be uploaded to be transcribed."""

    max_upload_bytes: int = 268_435_456
    """Largest file; a larger one is refused with 413."""
    max_audio_s: float = 14_400.0
    """Longest recording, as decoded; a longer one is refused with 413."""
    max_files: int = 4
    """Files at once, on their way in or being transcribed; one more is refused with 429; 0 takes none."""
    upload_timeout_s: float = 600.0
    """Time a file has to come in; beyond it, or after server.open_timeout_s without a byte, 408."""
    decode_timeout_s: float = 120.0
    """Time it may take to decompress a file; beyond it 413."""
    hangover_ms: int = 1_000
    """Silence that divides a recording: the longer, the more is heard at once, up to 30 s."""
    strict_model: bool = False
    """Refuse requests for a model that is not loaded with 404, rather than serve them with the one that is."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("http.max_upload_bytes", self.max_upload_bytes, 1_024, 1 << 40)
        require("http.max_audio_s", self.max_audio_s, 1, 1_000_000)
        require("http.max_files", self.max_files, 0, 1_024)
        require("http.upload_timeout_s", self.upload_timeout_s, 0.05, 86_400)
        require("http.decode_timeout_s", self.decode_timeout_s, 0.05, 86_400)
        require("http.hangover_ms", self.hangover_ms, 60, 10_000)


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Where the text of resumable sessions is kept, and how long."""

    path: Path | None = None
    """SQLite file; without one the text is kept in memory only, and a session does not outlive the daemon."""
    durability: Durability = Durability.FULL
    """full, normal or memory."""
    retention_s: float = 3600.0
    """Time after which the text of a session that nobody has come back to is deleted."""
    max_bytes: int = 268_435_456
    """Size beyond which the oldest sessions that are not open are deleted early."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("journal.retention_s", self.retention_s, 0, 366 * 86_400)
        require("journal.max_bytes", self.max_bytes, 1_048_576, 1 << 40)


@dataclass(frozen=True, slots=True)
class WyomingConfig:
    """The protocol of Home Assistant's voice assistants, on server.host."""

    enabled: bool = False
    """Serve it. It knows no token: beyond loopback server.insecure is required, whatever server.token is."""
    port: int = 10_300
    """TCP port of its own; 0 takes a free one."""
    zeroconf: bool = False
    """Announce it on the local network, where Home Assistant looks for it; wants the package zeroconf."""
    name: str = "Streamer"
    """What it is announced as, once on a network."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("wyoming.port", self.port, 0, 65_535)
        if not 1 <= len(self.name.encode()) <= 63:  # RFC 6763, 4.1.1: one label
            raise ConfigError(f"wyoming.name must have 1 to 63 bytes in UTF-8, got {self.name!r}")
        if self.zeroconf and not self.enabled:
            raise ConfigError("wyoming.zeroconf announces what wyoming.enabled serves, and that is false")


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """Who may look on, and what is kept for those who come late."""

    max_viewers: int = 512
    """Viewers at once, of all sessions; one more is refused with 1013 or 429; 0 lets nobody watch."""
    max_session_viewers: int = 256
    """The same for one session."""
    keep_s: float = 600.0
    """Time for which a session can be read after its end."""
    max_ended: int = 64
    """Ended sessions kept at most; for one more the one that ended first goes."""
    max_session_bytes: int = 4_194_304
    """Commits kept of a session, as JSON: hours of speech; of a longer one the first go, and what is shown says so."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("watch.max_viewers", self.max_viewers, 0, 100_000)
        require("watch.max_session_viewers", self.max_session_viewers, 0, 100_000)
        require("watch.keep_s", self.keep_s, 0, 604_800)
        require("watch.max_ended", self.max_ended, 0, 100_000)
        require("watch.max_session_bytes", self.max_session_bytes, 1_000, 1 << 30)


@dataclass(frozen=True, slots=True)
class MicrophoneConfig:
    """The daemon's own microphone, whose session is named `microphone`."""

    enabled: bool = False
    """Record and transcribe what a microphone of this machine hears."""
    device: str = ""
    """Number or part of the name, from `streamer devices`; empty takes the system's default."""
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


@dataclass(frozen=True, slots=True)
class LineConfig:
    """whisper_streaming's line protocol: samples in, lines out, on server.host."""

    enabled: bool = False
    """Serve it. It knows no token: beyond loopback server.insecure is required, whatever server.token is."""
    port: int = 43_007
    """TCP port of its own; 0 takes a free one."""
    language: str = ""
    """Code of what is spoken, for clients cannot say; empty: it is heard."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("line.port", self.port, 0, 65_535)

    def check_language(self, known: Sequence[str]) -> None:
        """Raise ConfigError for a language that a model does not have."""
        if self.enabled and self.language and self.language not in known:
            raise ConfigError(f"line.language must be one of {', '.join(sorted(known))}, got {self.language!r}")


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The process that recognises, and how long it may keep silent."""

    process: WorkerProcess = WorkerProcess.CHILD
    """child: the daemon outlives a recognizer that crashes or hangs; own: both are one process."""
    heartbeat_timeout_s: float = 5.0
    """Without a sign of life the process is killed and started again; it gives two a second."""
    batch_timeout_s: float = 120.0
    """Longest a batch may take; one that takes 20 times what is usual, and 10 s, is given up before."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("worker.heartbeat_timeout_s", self.heartbeat_timeout_s, 1, 3600)
        require("worker.batch_timeout_s", self.batch_timeout_s, 1, 3600)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the daemon says about itself."""

    level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR. Transcripts appear at DEBUG only."""
    format: LogFormat = LogFormat.CONSOLE
    """console or json."""

    def __post_init__(self) -> None:
        """Check the level."""
        if self.level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ConfigError(f"log.level must be DEBUG, INFO, WARNING or ERROR, got {self.level!r}")


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
