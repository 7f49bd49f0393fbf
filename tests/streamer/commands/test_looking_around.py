"""`streamer models`, `doctor` and `demo`."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clients.demo.clip import UTTERANCES, choose_clip
from clients.demo.synthesise import CLIP
from clients.demo.synthesise import UTTERANCES as SPOKEN
from model.files.hub import demo_folder
from model.types import SAMPLE_RATE
from streamer.__main__ import run
from streamer.capture.portaudio import INSTALL, AudioUnavailable
from streamer.commands.outcome import Exit
from tests.streamer.commands.console import one_line, sound_file


def test_models_on_the_disk_are_listed_and_found(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    assert run(["models"]) == Exit.OK
    assert str(demo_folder()) in capsys.readouterr().out
    assert run(["models", "where", "demo"]) == Exit.OK
    assert capsys.readouterr().out == f"{demo_folder()}\n"


def test_a_model_that_is_not_on_the_disk_is_nowhere(capsys):
    assert run(["models", "where", "nobody/nothing"]) == Exit.UNAVAILABLE

    assert "nobody/nothing" in one_line(capsys.readouterr().err)


def test_the_doctor_names_what_is_missing_and_what_to_install(monkeypatch, capsys):
    def missing():
        raise AudioUnavailable(INSTALL)

    monkeypatch.setattr("streamer.commands.doctor.load_portaudio", missing)
    monkeypatch.setenv("COLUMNS", "300")

    assert run(["doctor", "--model", "demo", "--port", "0"]) == Exit.OK  # a microphone is not everything

    assert "apt install libportaudio2" in capsys.readouterr().out


class OddlyNamed:
    """A PortAudio with a device whose name looks like markup."""

    default = SimpleNamespace(device=(0, -1))

    def get_portaudio_version(self):
        return 0, "PortAudio V19"

    def query_hostapis(self):
        return [{"name": "[ALSA]"}]

    def query_devices(self):
        shape = {"max_input_channels": 1, "default_samplerate": 16000.0}
        return [{"index": 0, "name": "Mikro [usb] a[/b]", "hostapi": 0, **shape}]


@pytest.mark.parametrize("command", [["devices"], ["doctor", "--model", "demo", "--port", "0"]], ids=lambda one: one[0])
def test_a_device_may_be_called_what_devices_are_called(monkeypatch, capsys, command):
    monkeypatch.setattr(f"streamer.commands.{command[0]}.load_portaudio", OddlyNamed)
    monkeypatch.setenv("COLUMNS", "300")

    assert run(command) == Exit.OK

    assert "Mikro [usb] a[/b]" in capsys.readouterr().out


def test_a_model_may_lie_in_any_folder(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "300")
    folder = tmp_path / "[red] models"
    shutil.copytree(demo_folder(), folder)

    assert run(["models", "where", str(folder)]) == Exit.OK
    assert capsys.readouterr().out == f"{folder}\n"


def test_the_doctor_fails_when_the_basics_do(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    assert run(["doctor", "--model", "nobody/nothing", "--offline", "--port", "0"]) == Exit.UNAVAILABLE

    assert "nobody/nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--model.device", "cuda:99"], "device 'cuda:99' is not there"),
        (["--model.device", "cpu", "--precision", "float16"], "precision float16 needs a GPU"),
    ],
)
def test_the_doctor_fails_for_a_device_or_a_precision_that_the_daemon_would_refuse(
    flags, complaint, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "300")

    assert run(["doctor", "--model", "demo", "--port", "0", *flags]) == Exit.UNAVAILABLE

    assert complaint in capsys.readouterr().out


def test_the_demonstration_says_whose_voice_it_plays(tmp_path):
    for digit, name in [(d, f"{d}_{s}_{take}.wav") for s, take, digits in UTTERANCES for d in digits]:
        sound_file(tmp_path / name, np.full(4000, digit / 100, dtype=np.float32))

    assert "synthetic" in choose_clip(recordings=tmp_path / "none").description
    assert "real recordings" in choose_clip(recordings=tmp_path).description
    assert "your file" in choose_clip(tmp_path / "3_jackson_0.wav", tmp_path).description


def test_the_clip_that_comes_with_the_program_is_long_enough_to_watch_and_ends_by_itself():
    clip = choose_clip(recordings=Path("/nowhere"))

    assert 15 < len(clip.samples) / SAMPLE_RATE < 30
    assert 0.1 < np.abs(clip.samples).max() <= 1.0


@pytest.mark.parametrize(
    ("flags", "model"), [([], "demo"), (["--model.threads", "1"], "demo"), (["--model", "auto"], "auto")], ids=str
)
def test_the_demonstration_takes_the_embedded_model_unless_another_is_named(flags, model, monkeypatch):
    taken = []

    async def note(_samples, config, _speed, *, plain):
        taken.append((config.name, plain))
        return Exit.OK

    monkeypatch.setattr("streamer.commands.demo._run", note)

    assert run(["demo", "--file", str(CLIP), *flags]) == Exit.OK
    assert taken == [(model, False)]


@pytest.mark.timeout(180)  # starts a daemon, which loads a model
def test_the_demonstration_runs_a_real_daemon_shows_captions_and_stops_it(capfd, monkeypatch):
    monkeypatch.setenv("STREAMER_SERVER_TOKEN_FILE", "/nowhere")  # what a person's own daemon is told
    assert run(["demo", "--speed", "0", "--model.threads", "1", "--file", str(CLIP)]) == Exit.OK

    captured = capfd.readouterr()
    assert captured.out.splitlines() == [text.replace(",", "") for _, _, text in SPOKEN]
    assert "the daemon listens on ws://127.0.0.1:" in captured.err
    assert "with the model demo" in captured.err
