"""`streamer listen`: a scripted microphone, recognised in this process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest

from model.types import SAMPLE_RATE
from streamer.__main__ import run
from streamer.capture.microphone import Capture, Captured, DeviceLost, DeviceOpened, Overflowed
from streamer.capture.portaudio import INSTALL, AudioUnavailable
from streamer.commands import listen, local, transfer
from streamer.commands.outcome import Exit
from streamer.protocols.messages import Done, Ready
from tests.fakes import LevelRecognizer, LevelVad
from tests.streamer.commands.console import one_line
from tests.streamer.harness import sentence


class FakeMicrophone:
    """Hears a script, and then Ctrl-C."""

    script: tuple[Capture, ...] = ()
    ending = signal.SIGINT

    def __init__(self, device: str | None) -> None:
        self.device = device

    async def capture(self) -> AsyncGenerator[Capture, None]:
        for item in self.script:
            yield item
        os.kill(os.getpid(), self.ending)
        await asyncio.Event().wait()


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> type[FakeMicrophone]:
    """Put a scripted microphone and a recognizer of levels in the place of the real ones."""
    script = type("Scripted", (FakeMicrophone,), {})
    monkeypatch.setattr(listen, "Microphone", script)
    monkeypatch.setattr(listen, "load_portaudio", lambda: None)
    monkeypatch.setattr(listen, "find_input", lambda *_: None)
    monkeypatch.setattr(listen, "load_recognizer", lambda _: LevelRecognizer())
    monkeypatch.setattr(local, "local_stream", partial(local.local_stream, make_vad=lambda _: LevelVad()))
    return script


def test_a_microphone_is_recognised_in_this_process_until_the_user_has_enough(microphone, capsys):
    speech = sentence(1, 2, 3)
    microphone.script = (DeviceOpened("a microphone"), *[Captured(block) for block in np.split(speech, 100)])

    assert run(["listen"]) == Exit.OK

    captured = capsys.readouterr()
    assert captured.out == "w1 w2 w3\n"
    assert "listening to a microphone" in captured.err


def test_words_that_were_not_finished_at_the_end_are_decided_not_dropped(microphone, capsys):
    microphone.script = (Captured(sentence(1, 2)[:-SAMPLE_RATE]),)

    run(["listen"])

    assert capsys.readouterr().out == "w1 w2\n"


def test_a_microphone_that_was_away_is_told_and_does_not_join_two_sentences(microphone, capsys):
    before, after = sentence(1)[:-SAMPLE_RATE], sentence(2)
    microphone.script = (Captured(before), DeviceLost("unplugged"), DeviceOpened("a microphone"), Captured(after))

    run(["listen"])

    captured = capsys.readouterr()
    assert captured.out == "w1\nw2\n"
    assert "the microphone is gone, waiting for it: unplugged" in captured.err


def test_audio_that_was_lost_is_told_and_its_time_is_kept(microphone, capsys):
    microphone.script = (Captured(sentence(1)), Overflowed(2 * SAMPLE_RATE), Captured(sentence(2)))

    run(["listen", "--format", "json"])

    captured = capsys.readouterr()
    messages = [json.loads(line) for line in captured.out.splitlines()]
    assert "2.0 s of sound were lost" in captured.err
    assert messages[-1]["audio"] == pytest.approx(len(sentence(1)) * 2 / SAMPLE_RATE + 2.0)


def test_what_recognition_in_this_process_refuses_is_told_like_by_a_daemon(microphone, capsys):
    assert run(["listen", "--language", "xx"]) == Exit.FAILED

    assert "language must be one of de, en, got 'xx'" in capsys.readouterr().err


def test_languages_and_hotwords_reach_the_recognizer(microphone, monkeypatch):
    heard = LevelRecognizer()
    monkeypatch.setattr(listen, "load_recognizer", lambda _: heard)
    microphone.script = (Captured(sentence(1)),)

    assert run(["listen", "--languages", "de", "--languages", "en", "--hotwords", "Boro"]) == Exit.OK
    assert {(request.languages, request.context) for request in heard.requests} == {(("de", "en"), "Boro.")}


def test_languages_in_the_settings_that_the_model_does_not_have_are_the_operator_s_to_mend(microphone, capsys):
    assert run(["listen", "--session.languages", "xx"]) == Exit.CONFIGURATION
    assert "session.languages must be some of de, en, got 'xx'" in capsys.readouterr().err


def test_the_settings_file_of_the_daemon_serves_here_too(microphone, tmp_path, capsys):
    (tmp_path / "streamer.toml").write_text("[server]\nport = 1\n[session]\nupdate_interval_ms = 100\n")
    microphone.script = (Captured(sentence(1)),)

    assert run(["listen", "--config", str(tmp_path / "streamer.toml")]) == Exit.OK
    assert capsys.readouterr().out == "w1\n"


def test_a_second_sigterm_ends_it_at_once(microphone, monkeypatch):
    class Stuck:
        ready = Ready("s", "m", SAMPLE_RATE)

        async def stop(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        async def __aiter__(self) -> AsyncGenerator[Done, None]:
            await asyncio.Event().wait()
            yield Done(0.0, 0)

    @asynccontextmanager
    async def stuck(*_: object, **__: object) -> AsyncGenerator[Stuck, None]:
        yield Stuck()

    monkeypatch.setattr(listen, "connect_resuming", stuck)
    monkeypatch.setattr(microphone, "ending", signal.SIGTERM)
    monkeypatch.setattr(transfer, "SAME_S", 0.0)

    assert run(["listen", "--server", "127.0.0.1:1"]) == Exit.INTERRUPTED


async def test_a_signal_that_comes_twice_at_once_is_one():
    """As `timeout` sends it: to its child, and to the child's group."""
    with transfer.interrupted() as event:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await event.wait()
        await asyncio.sleep(0)


def test_a_missing_portaudio_is_told_before_a_model_is_loaded(monkeypatch, capsys):
    def missing():
        raise AudioUnavailable(INSTALL)

    monkeypatch.setattr(listen, "load_portaudio", missing)
    monkeypatch.setattr(listen, "load_recognizer", lambda _: pytest.fail("the model was loaded"))

    assert run(["listen"]) == Exit.UNAVAILABLE
    assert "apt install libportaudio2" in one_line(capsys.readouterr().err)
