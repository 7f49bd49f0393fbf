"""`streamer serve`: the daemon."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated

from cyclopts import Parameter

from streamer import logs
from streamer.commands.complaints import complain
from streamer.commands.loading import foreseen, load_recognizer
from streamer.commands.outcome import Exit
from streamer.config import Config, ServerConfig, WorkerProcess
from streamer.core.vad import VoiceActivityDetector, WebRtcVad
from streamer.early import ended_by_signals, heeding_hangups
from streamer.network.access import Access, Right
from streamer.network.door import raise_descriptors
from streamer.network.listening import open_sockets
from streamer.network.tls import Certificate
from streamer.processes.children import program
from streamer.recognition.loading import Loading, in_child, on_thread

DEFAULTS = Config()
COLLECT = 700, 5, 2
"""Thresholds of Python's collector (`gc.set_threshold`): a whole collection after 7,000 new objects, not 70,000."""
WORKER = program("streamer.worker")
"""The program of the recognizer's process."""


def serve(*, settings: Annotated[Config, Parameter(name="*")] = DEFAULTS) -> int:
    """Run the daemon until SIGTERM or Ctrl-C.

    It prints one line with its address when it is ready, and then lets running streams finish before it ends.
    With --microphone, or --microphone DEVICE, it also transcribes what a microphone of this machine hears.
    Short forms: --model, --precision, --threads, --offline, --host, --port, --insecure, --token-file, --log-level.

    Args:
        settings: Everything.
    """
    return run_daemon(settings)


def run_daemon(
    settings: Config,
    worker: Sequence[str] = WORKER,
    make_vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
) -> int:
    """Run the daemon with these settings; return its exit code.

    worker: what becomes the recognizer's process, see `streamer.worker.host.main`; make_vad: as `Server` takes it.
    """
    logs.configure(settings.log)
    with ended_by_signals(), heeding_hangups(reloads=settings.server.tls_certificate is not None):
        check_address(settings.server)
        raise_descriptors(settings)
        run = import_module("streamer.daemon").load_and_serve  # the web framework, which no other command needs
        ready = partial(begin, settings.server)
        load = recognizer_for(settings, worker)
        asyncio.run(run(settings, foreseen(settings.model), load, on_ready=ready, make_vad=make_vad))
    return Exit.OK


def recognizer_for(settings: Config, worker: Sequence[str]) -> Loading:
    """Return what loads the recognizer where it is to run."""
    if settings.worker.process is WorkerProcess.OWN:
        return partial(on_thread, partial(load_recognizer, settings.model))
    return partial(in_child, settings, worker, complain)


def check_address(config: ServerConfig) -> None:
    """Find out before a model is loaded in vain whether the address can be had.

    Raises ConfigError for one that may not be used, or a certificate that cannot; AddressError for one that is taken.
    """
    Certificate.of(config)
    if "LISTEN_FDS" in os.environ:
        return  # the service manager has bound it
    for listener in open_sockets(config, [], guarded=Access.of(config).guards(Right.SPEAK)):
        listener.close()


def begin(config: ServerConfig, port: int) -> None:
    """Serve from now on."""
    # What there is by now stays: the collector of cycles need not look at it again. So a whole collection is a matter
    # of milliseconds, and can be made every few dozen connections; what they leave would become holes in memory.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    announce(config, port)


def announce(config: ServerConfig, port: int) -> None:
    """Print where the daemon can be reached; the address is the last word, for programs that start one."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    scheme = "wss" if config.tls_certificate else "ws"
    where = f"{scheme}://{host}:{port}/v1/stream" if port else "the inherited socket"
    print(f"listening on {where}", flush=True)  # noqa: T201  # the one line a daemon says on standard output
