"""Which model, where and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamer.config.check import require


class EncoderContext(StrEnum):
    """How much audio the encoder is shown."""

    AUTO = "auto"
    """Dynamic on a CPU for a model whose card says it was trained for it, full otherwise."""
    FULL = "full"
    """Always 30 s, padded with silence, as Whisper was trained."""
    DYNAMIC = "dynamic"
    """The audio plus a margin of silence."""


class EncoderReuse(StrEnum):
    """Whether an update leaves positions of the audio as they were encoded before, those far from what is new."""

    AUTO = "auto"
    """On on a CPU for a model whose card says it was measured with it, off otherwise."""
    ON = "on"
    OFF = "off"


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
    encoder_reuse: EncoderReuse = EncoderReuse.AUTO
    """Encode only what is near new audio, again and again: on, off or auto."""
    max_batch: int = 32
    """Windows decoded together at most."""
    offline: bool = False
    """Never ask a hub; use what is on the disk."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("model.threads", self.threads, 0, 1024)
        require("model.max_batch", self.max_batch, 1, 1024)


@dataclass(frozen=True, slots=True)
class DemoModelConfig(ModelConfig):
    """The same for the demonstration, whose default holds also where only something else is set."""

    name: str = "demo"
    """demo, a hub name (openai/whisper-large-v3-turbo), a folder in Hugging Face layout, an openai .pt, or auto."""
