"""Makes the recognizer, here or in a process of its own: the only place of the daemon that reaches torch."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import TypeAlias, cast

from model.types import Recognizer
from streamer.config import Config, ModelConfig
from streamer.recognition.device import DeviceThread
from streamer.worker.limits import Limits
from streamer.worker.messages import Start
from streamer.worker.supervisor import Supervisor, supervised

Loading: TypeAlias = Callable[[], AbstractAsyncContextManager[Recognizer | Supervisor]]
"""Gives the recognizer once the model is loaded, and keeps it for as long as the block lasts."""


def build_recognizer(config: ModelConfig) -> Recognizer:
    """Load and warm up the model. Raises ModelError for a model, a device or a precision that cannot be had."""
    recognizer_class = import_module("model.recognizer").WhisperRecognizer  # torch takes seconds to import
    recognizer = recognizer_class.load(
        name=config.name,
        device=config.device,
        precision=config.precision,
        threads=config.threads or spare_cores(),
        encoder_context=config.encoder_context,
        encoder_reuse=config.encoder_reuse,
        offline=config.offline,
    )
    return cast("Recognizer", recognizer)


@asynccontextmanager
async def on_thread(load: Callable[[], Recognizer]) -> AsyncGenerator[Recognizer]:
    """Give what `load` returns; it may take its time."""
    loader = DeviceThread("loader")
    try:
        yield await loader.run(load)
    finally:
        loader.stop()


@asynccontextmanager
async def in_child(
    settings: Config, command: Sequence[str], on_notice: Callable[[str], None]
) -> AsyncGenerator[Supervisor]:
    """Give a supervisor whose first child has loaded the model; its child ends with the block.

    command: what becomes the child, see `streamer.worker.host.main`; on_notice: hears what the operator should know of
    the model. Raises, in an ExceptionGroup, ModelError, ConfigError, WorkerError.
    """
    supervisor = Supervisor(
        command,
        lambda generation: Start(settings.model, settings.log.level, generation),
        settings.model.max_batch,
        limits=Limits.of(settings.worker),
    )
    async with supervised(supervisor):
        if notice := (await supervisor.loaded()).notice:
            on_notice(notice)
        yield supervisor


def spare_cores() -> int:
    """Count the cores this process may use, without one for the event loop."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(allowed - 1, 1)
