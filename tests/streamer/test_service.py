from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from model.types import DecodeRequest
from streamer.recognition.stall import StallDetector
from streamer.service import Notifier, inherited_sockets
from tests.fakes import silence
from tests.streamer.harness import LOCAL, GatedRecognizer, running, until


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def hear(self) -> dict[str, str]:
        """Return the next datagram's assignments."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    async def listen(self) -> dict[str, str]:
        """As `hear`, without holding up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.hear)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.socket.close()


def environment(manager: Manager, **more: str) -> dict[str, str]:
    """What the service manager would set."""
    return {"NOTIFY_SOCKET": manager.socket.getsockname(), **more}


def test_readiness_is_one_datagram_with_a_status(manager: Manager) -> None:
    Notifier(environment(manager)).ready("serving\nSTOPPING=1")

    assert manager.hear() == {"READY": "1", "STATUS": "serving STOPPING=1"}


def test_an_abstract_socket_is_reached() -> None:
    name = f"streamer-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    with manager.socket:
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).stopping("bye")

        assert manager.hear() == {"STOPPING": "1", "STATUS": "bye"}


@pytest.mark.parametrize("name", ["", "vsock:2:1", "/nowhere/at/all"])
def test_without_a_service_manager_nothing_happens(name: str) -> None:
    Notifier({"NOTIFY_SOCKET": name}).ready("hello")


def test_a_manager_that_does_not_read_does_not_hold_the_daemon_up(manager: Manager) -> None:
    notifier = Notifier(environment(manager))
    for _ in range(1_000):
        notifier.status("busy")

    assert manager.hear() == {"STATUS": "busy"}


@pytest.mark.parametrize(
    ("variables", "period"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_pinged_at_half_its_patience(variables: dict[str, str], period: float) -> None:
    assert Notifier(variables).watchdog_s == period


async def test_pings_come_only_while_there_is_progress(manager: Manager) -> None:
    asked: asyncio.Queue[bool] = asyncio.Queue()
    answers = iter([True, False, False, True])

    def alive() -> bool:
        answer = next(answers, False)
        asked.put_nowait(answer)
        return answer

    notifier = Notifier(environment(manager, WATCHDOG_USEC="2000"))
    task = asyncio.create_task(notifier.watch(alive))
    for _ in range(5):
        await asked.get()
    task.cancel()

    assert [manager.hear() for _ in range(2)] == [{"WATCHDOG": "1"}] * 2
    manager.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        manager.hear()


async def test_the_daemon_says_when_it_is_ready_and_when_it_stops(manager: Manager) -> None:
    async with running(LOCAL, environment=environment(manager, WATCHDOG_USEC="10000000")) as server:
        said = [await manager.listen() for _ in range(2)]
        server.stop()
        said.append(await manager.listen())

    ready = next(message for message in said if "READY" in message)
    assert f"serving levels on 127.0.0.1 port {server.port}" in ready["STATUS"]
    assert {"WATCHDOG": "1"} in said
    assert said[-1]["STOPPING"] == "1"


class Talker:
    """Asks for something to be recognised."""

    wants_final = False
    deadline = 0.0

    def next_request(self) -> DecodeRequest:
        return DecodeRequest("talker", 0, silence(1600))


async def test_a_daemon_whose_recognizer_is_stuck_is_not_alive(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated) as server, asyncio.TaskGroup() as group:
        server.recognition._stalls._patience_s = 0.0
        assert server.recognition.alive(), "nobody waits"
        group.create_task(server.engine.transcribe(Talker()))
        await until(lambda: not server.recognition.alive())
        assert not server.recognition.happens()

        gated.gate.set()
        await until(server.recognition.alive)


def test_a_stall_is_waiting_without_progress() -> None:
    now, since, batches = 0.0, None, 0
    detector = StallDetector(lambda: since, lambda: batches, patience_s=10, clock=lambda: now)

    now = 100.0
    assert not detector.stalled(), "nobody waits"
    since = 100.0
    now = 105.0
    assert not detector.stalled(), "not for long"
    batches, now = 1, 112.0
    assert not detector.stalled(), "a batch was finished meanwhile"
    now = 121.0
    assert not detector.stalled()
    now = 123.0
    assert detector.stalled()
    since = None
    assert not detector.stalled()


def test_who_has_just_begun_to_wait_has_not_waited_since_somebody_asked_last() -> None:
    now, since = 0.0, None
    detector = StallDetector(lambda: since, lambda: 0, patience_s=10, clock=lambda: now)

    assert not detector.stalled()
    now, since = 500.0, 499.5
    assert not detector.stalled()
    now = 510.0
    assert detector.stalled()


def test_inherited_sockets_are_taken_over_once() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        copy = os.dup(mine.fileno())
        os.set_inheritable(copy, True)  # its only argument
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "HOME": "/"}

        sockets = inherited_sockets(variables, first=copy)
        [inherited] = sockets["http"]

        with inherited:
            assert inherited.getsockname() == mine.getsockname()
            assert not inherited.get_inheritable()
        assert variables == {"HOME": "/"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("streamer.socket:wyoming:streamer.socket", {"streamer.socket": [0, 2], "wyoming": [1]}),
        ("wyoming", {"wyoming": [0], "": [1, 2]}),
        ("a:b:c:d", {"a": [0], "b": [1], "c": [2]}),
        (None, {"": [0, 1, 2]}),
    ],
)
def test_inherited_sockets_are_told_apart_by_their_names(names: str | None, found: dict[str, list[int]]) -> None:
    first = 700  # nothing else of this process is there
    with ExitStack() as stack:
        mine = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        for number, each in enumerate(mine):
            os.dup2(each.fileno(), first + number)
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3"} | ({"LISTEN_FDNAMES": names} if names else {})
        sockets = inherited_sockets(variables, first)
        for each in (each for named in sockets.values() for each in named):
            stack.enter_context(each)

        assert {name: [each.fileno() - first for each in named] for name, named in sockets.items()} == found


@pytest.mark.parametrize(
    "variables",
    [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}],
)
def test_sockets_meant_for_others_are_left_alone(variables: dict[str, str]) -> None:
    assert inherited_sockets(variables) == {}
