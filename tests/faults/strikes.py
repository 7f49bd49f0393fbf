"""Faults that more than one harness makes."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import psutil

from tests.clients.proxy import Proxy
from tests.faults.daemon import Subject


class Setting(Protocol):
    """Where they happen: a daemon, and a proxy before it."""

    subject: Subject
    proxy: Proxy


async def kill_worker(setting: Setting) -> None:
    with suppress(psutil.Error, AttributeError):
        setting.subject.worker.kill()


async def stop_worker(setting: Setting) -> None:
    with suppress(psutil.Error, AttributeError):
        setting.subject.worker.suspend()


async def cut_links(setting: Setting) -> None:
    setting.proxy.reset()
