"""The daemon's own microphone, with a source that plays a script."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from model.types import SAMPLE_RATE, Task
from streamer.capture.microphone import Capture, Captured, DeviceLost, DeviceOpened, Overflowed
from streamer.config import Config, ConfigError, MicrophoneConfig, ServerConfig
from streamer.core.events import Done, Event, Final, Gap, SpeechStarted, Warned
from streamer.microphone import own_microphone
from streamer.microphone.own_microphone import LONGEST_AGAIN_S, NAME, OwnMicrophone, check_wishes, wishes
from streamer.server import Server
from tests.fakes import LevelRecognizer, LevelVad, silence, speak
from tests.streamer.harness import converse, get, metric, running, sentence, until, until_heard
from tests.virtual_time import run

OPENED = DeviceOpened("a microphone")


class Script:
    """Plays what it is given, and then waits for more."""

    def __init__(self) -> None:
        self.devices: list[str | None] = []
        self.queue: asyncio.Queue[Capture | Exception] = asyncio.Queue()
        self.closed = 0

    def __call__(self, device: str | None) -> Script:
        self.devices.append(device)
        return self

    def play(self, *captures: Capture | Exception) -> None:
        for capture in captures:
            self.queue.put_nowait(capture)

    async def capture(self) -> AsyncGenerator[Capture, None]:
        try:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1


class Tale(logging.Handler):
    """Every event of every session, in order: what the log says at DEBUG."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.events: list[Event] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.args and not isinstance(record.args[0], str | int | float):
            self.events.append(record.args[0])

    def of(self, *kinds: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


@pytest.fixture
def tale(caplog):
    caplog.set_level(logging.DEBUG, "streamer.connection.writer")
    tale, logger = Tale(), logging.getLogger("streamer.connection.writer")
    logger.addHandler(tale)
    yield tale
    logger.removeHandler(tale)


@asynccontextmanager
async def daemon(script: Script, recognizer: LevelRecognizer | None = None, server=None, **microphone):
    config = Config(microphone=MicrophoneConfig(enabled=True, **microphone))
    settings = server or ServerConfig(port=0, idle_timeout_s=0.05)
    async with running(settings, recognizer, config, make_source=script) as running_server:
        yield running_server


def heard(*parts: np.ndarray) -> list[Captured]:
    """Cut audio into blocks of 20 ms."""
    audio = np.concatenate(parts)
    return [Captured(audio[at : at + 320]) for at in range(0, len(audio), 320)]


async def test_what_the_microphone_hears_is_a_session_from_the_start(tale):
    script = Script()
    async with daemon(script) as server:
        script.play(OPENED, *heard(sentence(1, 2, 3)))
        await until(lambda: tale.of(Final))

        assert server.admission.count == 1
        assert await metric(server, "streamer_sessions") == 1
        assert await metric(server, "streamer_finals_total") == 1
    assert [final.text for final in tale.of(Final)] == ["w1 w2 w3"]
    assert (script.devices, script.closed) == ([None], 1), "the default, once"


async def test_it_is_never_ended_by_silence_on_the_wire(tale):
    script = Script()
    async with daemon(script) as server:  # others are let go after 50 ms
        script.play(OPENED)
        other = await converse(server, [{"type": "start"}])

        assert other.of("error")[0]["code"] == "idle_timeout"
        assert server.admission.count == 1
        script.play(*heard(sentence(4)))
        await until(lambda: tale.of(Final))


async def test_a_device_that_goes_in_the_middle_of_a_sentence_is_a_warning_a_final_and_a_gap_of_its_true_length(tale):
    script = Script()
    before, after = np.concatenate([silence(SAMPLE_RATE), speak([1, 2])]), sentence(3)
    async with daemon(script):
        script.play(OPENED, *heard(before), DeviceLost("unplugged"))
        await until(lambda: tale.of(Final))

        assert [final.text for final in tale.of(Final)] == ["w1 w2"], "decided though the device is away"
        assert tale.of(Warned) == [Warned("microphone_lost", "unplugged")]
        assert not tale.of(Gap), "nobody knows yet how long it is"

        script.play(DeviceOpened("a microphone", 90 * SAMPLE_RATE), *heard(after))
        await until(lambda: len(tale.of(Final)) == 2)

    assert tale.of(Gap) == [Gap(len(before), len(before) + 90 * SAMPLE_RATE, "no microphone: unplugged")]
    assert tale.of(Warned)[1] == Warned("microphone_back", "recording a microphone")
    assert tale.of(SpeechStarted)[1].start >= len(before) + 90 * SAMPLE_RATE


async def test_its_captions_can_be_watched_and_read_under_its_name():
    script = Script()
    async with daemon(script, server=ServerConfig(port=0)) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/v1/watch/microphone", proxy=None) as viewer:
            script.play(OPENED, *heard(sentence(1, 2)), DeviceLost("unplugged"), DeviceOpened("a microphone", 16_000))
            warning, gap = await until_heard(viewer, "warning"), await until_heard(viewer, "gap")
        status, text = await get(server, "/v1/sessions/microphone.txt")

    assert warning["code"] == "microphone_lost"
    assert gap["end"] - gap["start"] == pytest.approx(1.0)
    assert status == 200
    assert "w1 w2" in text


async def test_audio_that_nobody_took_is_a_gap(tale):
    script = Script()
    async with daemon(script):
        script.play(OPENED, *heard(sentence(1)), Overflowed(4800), *heard(sentence(2)))
        await until(lambda: len(tale.of(Final)) == 2)

    start = len(sentence(1))
    assert tale.of(Gap) == [Gap(start, start + 4800, "sound was not taken in time")]
    assert [final.text for final in tale.of(Final)] == ["w1", "w2"]


async def test_that_audio_was_lost_is_logged_once_until_the_device_is_opened_again(caplog):
    script = Script()
    async with daemon(script):
        script.play(OPENED, Overflowed(4800), Overflowed(320), OPENED, Overflowed(1600))
        await until(script.queue.empty)

    assert [record.lost_s for record in caplog.records if hasattr(record, "lost_s")] == [0.3, 0.1]


async def test_the_daemon_is_ready_without_a_device_and_says_so_once(tale, caplog):
    caplog.set_level(logging.INFO, "streamer.microphone.own_microphone")
    script = Script()
    script.play(DeviceLost("no input device"))
    async with daemon(script) as server:
        await until(lambda: tale.of(Warned))
        status, body = await get(server, "/readyz")

        assert status == 200
        assert {"status": "ready", "sessions": 1, "microphone": "waiting"}.items() <= json.loads(body).items()
        assert await metric(server, "streamer_microphone_recording") == 0
        assert await metric(server, "streamer_microphone_losses_total") == 1

        script.play(OPENED, *heard(sentence(1)))
        await until(lambda: tale.of(Final))

        assert json.loads((await get(server, "/readyz"))[1])["microphone"] == "recording"
        assert await metric(server, "streamer_microphone_recording") == 1
    warnings = [record.getMessage() for record in caplog.records if record.name == "streamer.microphone.own_microphone"]
    assert warnings == ["no microphone, it is waited for: no input device", "recording a microphone"]


async def test_a_daemon_without_one_says_nothing_of_it():
    async with running() as server:
        assert "microphone" not in (await get(server, "/readyz"))[1]
        assert "microphone" not in (await get(server, "/metrics"))[1]


async def test_it_takes_a_place_among_the_sessions_before_anybody_else():
    async with daemon(Script(), server=ServerConfig(port=0, max_sessions=1)) as server:
        refused = await converse(server, [{"type": "start"}])

    assert refused.of("error")[0]["code"] == "busy"


async def test_speech_that_is_going_on_at_the_end_is_decided(tale):
    script = Script()
    async with daemon(script):
        script.play(OPENED, *heard(silence(SAMPLE_RATE), speak([1, 2])))
        await until(lambda: tale.of(SpeechStarted) and script.queue.empty())

    assert [final.text for final in tale.of(Final)] == ["w1 w2"]
    assert isinstance(tale.events[-1], Done)


async def test_a_session_that_fails_is_followed_by_another(tale, caplog, monkeypatch):
    monkeypatch.setattr(own_microphone, "AGAIN_S", 0.01)
    script = Script()
    async with daemon(script) as server:
        script.play(OPENED, RuntimeError("broken"))
        await until(lambda: script.closed == 1)
        script.play(OPENED, *heard(sentence(5)))
        await until(lambda: tale.of(Final))

        assert server.admission.count == 1
        assert script.devices == [None], "the same microphone, which knows its device by name by now"
    assert "another follows" in caplog.text


def test_sessions_that_fail_one_after_the_other_follow_less_and_less_often_until_one_lasts():
    lengths = [0.0] * 7 + [2 * LONGEST_AGAIN_S, 0.0]

    async def fail() -> list[float]:
        admission, pauses, ended = SimpleNamespace(draining=False), [], None
        microphone = OwnMicrophone(
            config=MicrophoneConfig(), admission=admission, connect=None, registry=CollectorRegistry()
        )

        async def session() -> None:
            nonlocal ended
            clock = asyncio.get_running_loop().time
            pauses.append(0.0 if ended is None else clock() - ended)
            await asyncio.sleep(lengths[len(pauses) - 1])
            ended, admission.draining = clock(), len(pauses) == len(lengths)

        microphone._run_session = session
        await microphone.run()
        return pauses

    assert run(fail()) == pytest.approx([0, 1, 2, 4, 8, 16, 30, 30, 1])


async def test_a_device_that_is_not_there_is_waited_for_by_default():
    async def start(_device: str | None) -> None:
        raise OSError("no process to be had")

    source = own_microphone.default_source(None)
    source._start = start
    async with aclosing(source.capture()) as captures:
        assert isinstance(await anext(captures), DeviceLost)


async def test_a_microphone_that_fails_costs_others_nothing(monkeypatch):
    monkeypatch.setattr(own_microphone, "AGAIN_S", 30)
    script = Script()
    script.play(RuntimeError("broken"))
    async with daemon(script, server=ServerConfig(port=0)) as server:
        await until(lambda: server.admission.count == 0)
        said = await converse(
            server, [{"type": "start"}, (sentence(1) * 32_767).astype("<i2").tobytes(), {"type": "stop"}]
        )

    assert said.finals == ["w1"]


async def test_the_settings_reach_source_and_recognizer(tale):
    script, recognizer = Script(), LevelRecognizer()
    wanted = {"device": "USB", "language": "de", "task": Task.TRANSLATE, "prompt": "Names.", "hotwords": ("Boro",)}
    async with daemon(script, recognizer, **wanted):
        script.play(OPENED, *heard(sentence(1)))
        await until(lambda: tale.of(Final))

    assert script.devices == ["USB"]
    spoken = [request for request in recognizer.requests if request.stream == NAME]
    assert {(request.language, request.task, request.context) for request in spoken} == {
        ("de", Task.TRANSLATE, "Names. Boro.")
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"language": "xx"}, r"microphone\.language must be of de, en, got 'xx'"),
        ({"languages": ("en", "yy")}, r"microphone\.languages must be of de, en, got 'yy'"),
        ({"language": "de", "languages": ("en",)}, r"microphone\.language must be one of microphone\.languages"),
    ],
)
def test_what_the_model_does_not_have_is_the_operator_s_to_mend(settings, complaint):
    config = Config(server=ServerConfig(port=0), microphone=MicrophoneConfig(enabled=True, **settings))

    with pytest.raises(ConfigError, match=complaint):
        Server(config, LevelRecognizer(), {}, lambda _: LevelVad())


@pytest.mark.parametrize(
    "settings", [{}, {"language": "de"}, {"languages": ("de",)}, {"language": "de", "languages": ("en", "de")}], ids=str
)
def test_what_the_model_has_may_be_set_or_left_open(settings):
    config = MicrophoneConfig(enabled=True, **settings)
    check_wishes(config, LevelRecognizer().card)

    assert wishes(config).language == settings.get("language")


def test_a_task_that_the_model_was_not_made_for_cannot_be_set():
    card = replace(LevelRecognizer().card, tasks=(Task.TRANSCRIBE,))
    with pytest.raises(ConfigError, match=r"microphone\.task must be one of transcribe, got translate"):
        check_wishes(MicrophoneConfig(enabled=True, task=Task.TRANSLATE), card)
