"""The unit files and the settings file that go with them."""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from configparser import RawConfigParser
from pathlib import Path
from typing import get_type_hints
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from streamer.config import Config
from streamer.network.doors import WYOMING

FOLDER = Path(__file__).parents[1] / "systemd"
UNITS = ("streamer.service", "streamer.socket", "streamer-wyoming.socket")


class Unit(RawConfigParser):
    """A unit file: keys keep their case, and a key that comes again adds a value."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, comment_prefixes=("#",), delimiters=("=",))
        self.optionxform = str
        self.read(path)


@pytest.fixture
def systemd_analyze():
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is missing (Debian and Ubuntu: apt install systemd)")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([tool, *arguments], text=True, capture_output=True, check=False)

    return run


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with a program that exists: verify looks for it."""
    for name in UNITS:
        text = (FOLDER / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/streamer/.venv/bin/streamer", sys.executable))
    return tmp_path


def test_the_units_are_valid_and_hold_no_unknown_key(systemd_analyze, installed):
    done = systemd_analyze("verify", "--man=no", *(installed / name for name in UNITS))

    # An unknown key is only a line of text there, and the exit status stays 0.
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.fixture
def with_microphone(installed: Path) -> Path:
    """The units and the drop-in for a microphone."""
    shutil.copytree(FOLDER / "streamer.service.d", installed / "streamer.service.d")
    return installed


def test_the_drop_in_for_a_microphone_is_valid_and_costs_no_exposure_that_counts(systemd_analyze, with_microphone):
    unit = with_microphone / "streamer.service"

    done = systemd_analyze("verify", "--man=no", unit)
    exposed = systemd_analyze("security", "--no-pager", "--offline=true", "--threshold=10", unit)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert exposed.returncode == 0, exposed.stdout[-200:]


def test_the_drop_in_for_a_microphone_lets_the_service_at_a_sound_card_and_turns_the_microphone_on():
    service = Unit(FOLDER / "streamer.service.d" / "microphone.conf")["Service"]

    assert (service["DeviceAllow"], service["SupplementaryGroups"]) == ("char-alsa", "audio")
    assert service["Environment"] == "STREAMER_MICROPHONE_ENABLED=true"
    assert "PrivateDevices" not in service


def test_the_exposure_is_at_most_two(systemd_analyze, installed):
    done = systemd_analyze("security", "--no-pager", "--offline=true", "--threshold=20", installed / "streamer.service")

    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("name", ["MemoryDenyWriteExecute", "PrivateDevices", "ProcSubset"])
def test_what_breaks_torch_or_a_device_is_not_set(name):
    assert name not in Unit(FOLDER / "streamer.service")["Service"]


def test_the_service_stops_later_than_the_daemon_drains():
    assert int(Unit(FOLDER / "streamer.service")["Service"]["TimeoutStopSec"]) > settings().server.drain_timeout_s


def settings(text: str | None = None) -> Config:
    """Build a Config from TOML; raises KeyError for a key that is no setting."""
    return build(Config, tomllib.loads(text or (FOLDER / "streamer.toml").read_text()))


def build(kind: type, values: dict) -> object:
    hints = get_type_hints(kind)
    return kind(**{name: convert(hints[name], value) for name, value in values.items()})


def convert(kind: type, value: object) -> object:
    if dataclasses.is_dataclass(kind):
        return build(kind, value)
    if isinstance(value, list):
        return tuple(value)
    return kind(value) if isinstance(kind, type) else value


def test_the_settings_file_is_a_config_that_names_its_model():
    assert settings().model.name not in {"", "auto"}


def test_what_the_settings_file_shows_commented_out_are_the_defaults():
    text = (FOLDER / "streamer.toml").read_text()
    shown = re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    active = [line for line in text.splitlines() if re.match(r"[a-z_]+ = ", line)]
    defaults_only = "\n".join(line for line in shown.splitlines() if line not in active)

    assert settings(defaults_only) == Config()


def test_the_settings_file_shows_every_setting():
    text = (FOLDER / "streamer.toml").read_text()
    for section in dataclasses.fields(Config):
        hidden = {"token", "token_file", "path"}  # the unit hands these over; a secret does not belong into this file
        here = getattr(Config(), section.name)
        names = {field.name for field in dataclasses.fields(here)} - hidden
        without_default = {name for name in names if getattr(here, name) is None}  # TOML has no way to show it
        part = re.search(rf"^\[{section.name}\]$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)

        assert part is not None, section.name
        assert set(re.findall(r"^#?([a-z_]+) = ", part[1], re.MULTILINE)) == names - without_default
        assert without_default <= set(re.findall(r"[a-z_]+", part[1]))


def test_the_socket_is_the_address_that_clients_expect():
    server = Config().server

    assert Unit(FOLDER / "streamer.socket")["Socket"]["ListenStream"] == f"{server.host}:{server.port}"


def test_the_socket_of_wyoming_is_the_port_that_home_assistant_expects_under_the_name_that_the_daemon_looks_for():
    unit = Unit(FOLDER / "streamer-wyoming.socket")["Socket"]

    assert unit["ListenStream"] == f"{Config().server.host}:{Config().wyoming.port}"
    assert (unit["FileDescriptorName"], unit["Service"]) == (WYOMING, "streamer.service")


LAUNCH = """
import os, sys
for number, descriptor in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(descriptor, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Number the sockets from 3 and tell the daemon its own process number, as systemd does between fork and exec."""


class Manager:
    """systemd's side of a running service: its sockets, its notifications, its credential."""

    def __init__(self, folder: Path) -> None:
        self.listener, self.wyoming = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(folder / "notify"))
        self.notices.settimeout(1)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: list[str], folder: Path, *wrapper: str) -> None:
        """Start ExecStart's arguments with this tree's program, as systemd.exec(5) describes it."""
        # Far from 3, so that numbering one does not close the other.
        descriptors = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (self.wyoming, self.listener)]
        environment = os.environ | {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "200000",
            "LISTEN_FDS": "2",
            "LISTEN_FDNAMES": "wyoming:streamer.socket",
            "HF_HUB_OFFLINE": "1",
        }
        self.process = subprocess.Popen(
            [
                *wrapper,
                sys.executable,
                "-c",
                LAUNCH,
                ",".join(map(str, descriptors)),
                sys.executable,
                "-m",
                "streamer",
                *arguments,
            ],
            env=environment,
            pass_fds=descriptors,
            cwd=FOLDER.parent,
        )
        for descriptor in descriptors:
            os.close(descriptor)

    def wait_for(self, notice: str) -> None:
        """Read notifications up to this one; the time limit of a test ends the waiting."""
        notices: list[str] = []
        while notice not in notices:
            assert self.process.poll() is None, f"the daemon ended with {self.process.returncode} before {notice}"
            with contextlib.suppress(TimeoutError):
                notices = self.notices.recv(4096).decode().splitlines()

    def ask_wyoming(self) -> dict:
        """Ask as Home Assistant does, before it adds a server; return the head of the answer."""
        with socket.create_connection(self.wyoming.getsockname(), timeout=30) as client, client.makefile() as lines:
            client.sendall(b'{"type": "describe"}\n')
            return json.loads(lines.readline())

    def status(self, path: str) -> int:
        try:
            with urlopen(Request(self.address + path), timeout=10) as reply:
                return reply.status
        except HTTPError as error:
            error.close()
            return error.code

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.listener.close()
        self.wyoming.close()
        self.notices.close()


@pytest.fixture
def folder():
    """A short path: the name of a Unix socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="unit") as name:
        yield Path(name)


@pytest.fixture
def manager(folder):
    manager = Manager(folder)
    yield manager
    manager.close()


def exec_start(folder: Path) -> list[str]:
    """The arguments of ExecStart, with the places of this tree instead of the installed ones."""
    program, *arguments = shlex.split(Unit(FOLDER / "streamer.service")["Service"]["ExecStart"])
    (folder / "token").write_text("secret\n")
    places = {
        "/etc/streamer/streamer.toml": str(FOLDER / "streamer.toml"),
        "%d/token": str(folder / "token"),
        "%S/streamer/journal.sqlite": str(folder / "journal.sqlite"),
    }
    assert Path(program).name == "streamer"
    return [places.get(argument, argument) for argument in arguments]


@pytest.mark.parametrize("network", ["this network", "no network"])
def test_the_service_gets_ready_is_watched_serves_its_socket_and_stops_cleanly(folder, manager, network):
    wrapper = []
    if network == "no network":  # PrivateNetwork=yes
        wrapper = ["unshare", "--net", "--map-root-user"]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode
        ):
            pytest.skip("network namespaces are not allowed here")
    manager.start(exec_start(folder), folder, *wrapper)

    assert manager.ask_wyoming()["type"] == "info"  # before it is ready
    manager.wait_for("READY=1")
    assert manager.status("/healthz") == 200
    assert manager.status("/v1/stream") in {400, 401, 403, 404, 405, 426}  # no WebSocket, but an answer
    manager.wait_for("WATCHDOG=1")
    manager.process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert manager.process.wait(timeout=20) == 0


def test_the_service_asks_for_the_token_of_its_credential(folder, manager):
    manager.start(exec_start(folder), folder)
    manager.wait_for("READY=1")
    address = manager.address.replace("http", "ws") + "/v1/stream"

    with pytest.raises(InvalidStatus, match="401"):
        connect(address)
    with connect(address, additional_headers={"Authorization": "Bearer secret"}) as client:
        client.send('{"type":"start"}')
        assert json.loads(client.recv())["type"] == "ready"
