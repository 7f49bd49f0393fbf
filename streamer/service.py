"""The service manager's side of the daemon: readiness, watchdog, inherited sockets.

Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). Without systemd everything here does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from itertools import zip_longest
from typing import Final

logger = logging.getLogger(__name__)

FIRST_INHERITED = 3
"""File descriptor of the first inherited socket: after stdin, stdout and stderr."""
MICROSECONDS: Final = 1_000_000


class Notifier:
    """Tells the service manager how the daemon is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from `environment`."""
        self._address = notify_address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = watchdog_period(environment)
        """Seconds between pings: half of what the service manager waits for; 0 if it does not watch."""

    def ready(self, status: str) -> None:
        """Say that the daemon serves."""
        self._send(f"READY=1\nSTATUS={one_line(status)}")

    def stopping(self, status: str) -> None:
        """Say that it is about to end."""
        self._send(f"STOPPING=1\nSTATUS={one_line(status)}")

    def status(self, status: str) -> None:
        """Say something for `systemctl status`."""
        self._send(f"STATUS={one_line(status)}")

    async def watch(self, alive: Callable[[], bool]) -> None:
        """Ping while `alive()`; run for ever, on the event loop, so that a stuck loop pings no more.

        A daemon that is not alive stays silent, and the service manager ends it and starts another.
        """
        if not self.watchdog_s:
            return
        well = True
        while True:
            if alive():
                self._send("WATCHDOG=1")
                well = True
            elif well:
                logger.error("no progress: the service manager is not pinged any more")
                well = False
            await asyncio.sleep(self.watchdog_s)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(0)  # a manager that does not read must not stop the event loop
                channel.sendto(message.encode(), self._address)
        except OSError as error:
            logger.warning("the service manager cannot be told: %s", error)


def notify_address(name: str) -> str:
    r"""Return NOTIFY_SOCKET's value as an address: a path, or an abstract name, whose @ stands for \0."""
    if name and name[0] not in "/@":
        logger.warning("NOTIFY_SOCKET is neither a path nor an abstract name, and is ignored: %s", name)
        return ""
    return "\0" + name[1:] if name.startswith("@") else name


def watchdog_period(environment: Mapping[str, str]) -> float:
    """Return half the watchdog's patience in seconds, or 0 if there is none or it watches another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    with contextlib.suppress(ValueError):
        return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / MICROSECONDS / 2
    logger.warning("WATCHDOG_USEC is no number, and is ignored: %s", environment["WATCHDOG_USEC"])
    return 0.0


def inherited_sockets(
    environment: MutableMapping[str, str], first: int = FIRST_INHERITED
) -> dict[str, list[socket.socket]]:
    """Take over the listening sockets of socket activation, and their variables, so that no child does it again.

    Returns them by their names: a unit's FileDescriptorName=, which is the unit's own name if it sets none.
    Raises OSError for a descriptor that is no socket.
    """
    addressee = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "0")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if addressee != str(os.getpid()) or not count.isdecimal():
        return {}
    sockets: dict[str, list[socket.socket]] = {}
    for descriptor, name in zip_longest(range(first, first + int(count)), names[: int(count)], fillvalue=""):
        os.set_inheritable(int(descriptor), False)  # noqa: FBT003  # its only argument
        sockets.setdefault(str(name), []).append(socket.socket(fileno=int(descriptor)))
    return sockets


def one_line(status: str) -> str:
    """Return a status that cannot smuggle in another assignment."""
    return " ".join(status.split())
