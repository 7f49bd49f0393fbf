"""`streamer send`, against a real server."""

from __future__ import annotations

import asyncio
import json
import os

import numpy as np
import soundfile

from clients.captions import PlainCaptions
from model.types import SAMPLE_RATE
from streamer.__main__ import run
from streamer.commands import send
from streamer.commands.outcome import Exit
from streamer.config import ServerConfig
from tests.fakes import LevelRecognizer, silence
from tests.streamer.commands.console import one_line, sound_file
from tests.streamer.harness import LOCAL, running, sentence, until


async def sent(*tokens: str) -> int:
    return await asyncio.to_thread(run, ["send", *tokens])


async def test_files_are_sent_one_after_the_other_and_their_finals_are_printed(tmp_path, capsys):
    first = sound_file(tmp_path / "a.wav", np.concatenate([sentence(1, 2), sentence(3)]))
    second = sound_file(tmp_path / "b.wav", sentence(4))
    async with running() as server:
        status = await sent(first, second, "--server", f"127.0.0.1:{server.port}", "--speed", "0")

    assert (status, capsys.readouterr().out) == (Exit.OK, "w1 w2\nw3\nw4\n")


async def test_json_lines_are_the_messages_of_the_protocol(tmp_path, capsys):
    file = sound_file(tmp_path / "a.wav", sentence(1, 2))
    async with running() as server:
        await sent(file, "--server", f"127.0.0.1:{server.port}", "--speed", "0", "--format", "json")

    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [message["text"] for message in messages if message["type"] == "final"] == ["w1 w2"]
    assert messages[-1]["type"] == "done"


async def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "letter.wav").write_text("dear reader")
    good = sound_file(tmp_path / "a.wav", sentence(1))
    async with running() as server:
        address = f"127.0.0.1:{server.port}"
        status = await sent(str(tmp_path / "letter.wav"), good, "--server", address, "--speed", "0")

    captured = capsys.readouterr()
    assert (status, captured.out) == (Exit.FAILED, "w1\n")
    assert "letter.wav: Format not recognised" in one_line(captured.err)


async def test_a_refused_stream_says_what_is_allowed(tmp_path, capsys):
    file = sound_file(tmp_path / "a.wav", sentence(1))
    async with running() as server:
        status = await sent(file, "--server", f"127.0.0.1:{server.port}", "--language", "xx")

    assert status == Exit.FAILED
    assert "language must be one of de, en, got 'xx'" in one_line(capsys.readouterr().err)


async def test_languages_prompt_and_hotwords_reach_the_recognizer(tmp_path):
    file, heard = sound_file(tmp_path / "a.wav", sentence(1)), LevelRecognizer()
    wishes = ["--languages", "en", "--languages", "de", "--prompt", "Trains.", "--hotwords", "Boro", "--hotwords", "Mu"]
    async with running(recognizer=heard) as server:
        await sent(file, "--server", f"127.0.0.1:{server.port}", "--speed", "0", *wishes)

    asked = [request for request in heard.requests if request.stream != "warm-up"]
    assert asked[0].language is None
    assert {(request.languages, request.context) for request in asked} == {(("en", "de"), "Trains. Boro, Mu.")}


async def test_no_daemon_is_told_with_its_address(tmp_path, capsys):
    file = sound_file(tmp_path / "a.wav", sentence(1))
    async with running() as server:
        port = server.port

    assert await sent(file, "--server", f"127.0.0.1:{port}") == Exit.UNAVAILABLE
    assert f"ws://127.0.0.1:{port}/v1/stream" in one_line(capsys.readouterr().err)


async def test_address_and_token_may_stand_in_the_environment(tmp_path, capsys, monkeypatch):
    file = sound_file(tmp_path / "a.wav", sentence(1))
    async with running(ServerConfig(port=0, token="secret")) as server:
        monkeypatch.setenv("STREAMER_SERVER", f"127.0.0.1:{server.port}")
        monkeypatch.setenv("STREAMER_TOKEN", "secret")

        assert await sent(file, "--speed", "0") == Exit.OK

    assert capsys.readouterr().out == "w1\n"


async def test_captions_go_on_when_the_daemon_is_restarted_and_that_is_said_once(tmp_path, capsys):
    audio = np.concatenate([sentence(1), silence(60 * SAMPLE_RATE), sentence(2)])
    file, recognizer = sound_file(tmp_path / "a.wav", audio), LevelRecognizer()
    async with asyncio.TaskGroup() as group:
        async with running(LOCAL, recognizer) as server:
            sending = group.create_task(sent(file, "--server", f"127.0.0.1:{server.port}", "--speed", "20"))
            await until(lambda: any(r.final and r.stream != "warm-up" for r in recognizer.requests))
        async with running(ServerConfig(port=server.port)):
            await sending

    captured = capsys.readouterr()
    assert (sending.result(), captured.out) == (Exit.OK, "w1\nw2\n")
    lost, back = captured.err.splitlines()
    assert ("connection lost" in lost, back) == (True, "streamer: connected again")


async def test_a_file_may_be_called_what_files_are_called(tmp_path, capsys):
    names = ["[2026-11-30] meeting.wav", "'1' \"2\".wav", os.fsdecode(b"bad\xff.wav")]
    files = []
    for number, name in enumerate(names, start=1):
        sound_file(tmp_path / "a.wav", sentence(number))
        files.append(str((tmp_path / "a.wav").rename(tmp_path / name)))
    async with running() as server:
        status = await sent(*files, "--server", f"127.0.0.1:{server.port}", "--speed", "0")

    assert (status, capsys.readouterr().out) == (Exit.OK, "w1\nw2\nw3\n")


async def test_a_name_that_is_no_text_is_shown_on_a_terminal_as_well_as_that_can_be(tmp_path, monkeypatch):
    named: list[str] = []

    def display(*_: object, source: str, **__: object) -> PlainCaptions:
        named.append(source)
        return PlainCaptions()

    monkeypatch.setattr(send, "display_for", display)
    file = tmp_path / os.fsdecode(b"caf\xe9.wav")
    sound_file(tmp_path / "a.wav", sentence(1))
    (tmp_path / "a.wav").rename(file)
    async with running() as server:
        assert await sent(str(file), "--server", f"127.0.0.1:{server.port}", "--speed", "0") == Exit.OK

    assert named == ["caf\N{REPLACEMENT CHARACTER}.wav"]


async def test_what_is_said_before_a_file_is_damaged_is_shown_and_the_damage_told(tmp_path, capsys):
    whole, damaged = tmp_path / "whole.flac", tmp_path / "damaged.flac"
    noise = np.random.default_rng(0).uniform(-1e-4, 1e-4, 8 * SAMPLE_RATE).astype(np.float32)
    soundfile.write(whole, np.concatenate([sentence(1, 2), sentence(3), noise]), SAMPLE_RATE, subtype="PCM_24")
    damaged.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    good = sound_file(tmp_path / "a.wav", sentence(4))
    async with running() as server:
        address = f"127.0.0.1:{server.port}"
        status = await sent(str(damaged), good, "--server", address, "--speed", "0")

    captured = capsys.readouterr()
    assert (status, captured.out) == (Exit.FAILED, "w1 w2\nw3\nw4\n")
    assert "damaged.flac: " in one_line(captured.err)
