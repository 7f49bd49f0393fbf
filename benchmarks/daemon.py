"""A real daemon in a process of its own, to be measured from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import create_server
from tempfile import TemporaryFile
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

START_TIMEOUT_S = 180.0


class DaemonError(Exception):
    """The daemon did not start, or did not stop with 0."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where the daemon is."""

    port: int
    process: psutil.Process

    @property
    def address(self) -> str:
        """WebSocket address of the native protocol."""
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def resident_mib(self) -> float:
        """Memory the process holds."""
        return float(self.process.memory_info().rss / 2**20)

    def resident_mib_of_all(self) -> float:
        """Memory that it and its children, of which one recognises, hold; a page that they share counts for each."""
        held = self.process.memory_info().rss + self._of_children(lambda child: child.memory_info().rss)
        return float(held / 2**20)

    def cpu_seconds(self) -> float:
        """CPU time the process has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def cpu_seconds_of_all(self) -> float:
        """CPU time that it and its children, of which one recognises, have used."""
        times = self.process.cpu_times()
        ended = times.children_user + times.children_system
        return float(times.user + times.system + ended + self._of_children(lambda child: sum(child.cpu_times()[:2])))

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, named as on the wire: name{label="value"}."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        return {
            sample.name + "".join(f'{{{key}="{value}"}}' for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def _of_children(self, read: Callable[[psutil.Process], float]) -> float:
        """Add up what is read of its children that live."""
        total = 0.0
        for child in self.process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a decoder of uploads that has just ended
                total += read(child)
        return total


@contextmanager
def running_daemon(model: str, *flags: str, program: Sequence[str] = ("-m", "streamer", "serve")) -> Iterator[Daemon]:
    """Start a daemon on a free port, and stop it with SIGTERM. Raises DaemonError with what it said.

    program: what is to be run by Python, and takes the daemon's flags.
    """
    port = _free_port()
    # On a CPU, also where there is a GPU: the tables say so, and `gpu.py` is for the other.
    where = ("--model.name", model, "--model.device", "cpu", "--server.port", str(port))
    command = [sys.executable, *program, *where, *flags]
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ)
        try:
            _wait_until_ready(port, process)
            yield Daemon(port, psutil.Process(process.pid))
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=60)
        except DaemonError as error:
            log.seek(0)
            raise DaemonError(f"{error}\n{log.read()[-4000:]}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status != 0:
        raise DaemonError(f"the daemon ended with status {status} after SIGTERM, expected 0")


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise DaemonError(f"the daemon ended with status {process.returncode} before it was ready")
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise DaemonError(f"the daemon was not ready after {START_TIMEOUT_S:g} s")
