"""Uploads to a server whose decoders go wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer.config import Config, HttpConfig
from streamer.http.upload import MEMORY_BYTES, Upload
from tests.faulty.decoder import command
from tests.streamer.decoding.files import footprint, noise
from tests.streamer.harness import LOCAL, GatedRecognizer, converse, metric, running, s16, sentence, until
from tests.streamer.http.uploads import SAID, answered, error_of, events_of, form, head, sound_file, upload

POISON = noise(8_000, seconds=5.0)


async def test_a_file_that_crashes_its_decoder_costs_nobody_else_anything() -> None:
    audio = s16(np.concatenate([sentence(n, n + 1) for n in range(6)]))
    messages = [{"type": "start"}, *(audio[at : at + 3200] for at in range(0, len(audio), 3200)), {"type": "stop"}]
    before = footprint()
    async with running(decoder=command("segv@8000=2")) as server:
        alone = await converse(server, messages)
        async with asyncio.TaskGroup() as group:
            poison = group.create_task(upload(server, POISON))
            other = group.create_task(upload(server))
            beside = await converse(server, messages)
        lost = await metric(server, 'streamer_decoders_lost_total{cause="crashed"}')
        invalid = await metric(server, 'streamer_files_ended_total{outcome="invalid"}')

    error = error_of(poison.result())
    assert (poison.result().status_code, error["code"], error["param"]) == (400, "invalid_value", "file")
    assert error["message"] == "the decoder could not cope with the file: it was ended by SIGSEGV"
    assert other.result().json()["text"] == SAID
    assert (beside.words, beside.finals) == (alone.words, alone.finals)
    assert (lost, invalid) == (1, 1)
    assert footprint() == before


async def test_a_decoder_lost_in_the_middle_is_the_last_event_of_a_stream() -> None:
    speech = np.concatenate([sentence(n % 9) for n in range(9)])
    async with running(decoder=command("kill@16000=18")) as server:
        *said, last = events_of((await upload(server, sound_file(speech), stream="true")).text)

    assert [event["type"] for event in said] == ["transcript.text.delta"] * len(said)
    assert said
    assert "ended by SIGKILL" in last["error"]["message"]


async def test_a_file_whose_decoder_hangs_is_too_costly() -> None:
    config = Config(http=HttpConfig(decode_timeout_s=0.2))
    before = footprint()
    async with running(config=config, decoder=command("hang@8000=1")) as server:
        response = await upload(server, POISON)

    assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_costly")
    assert "0.2 s" in error_of(response)["message"]
    assert footprint() == before


async def test_decoders_that_do_not_start_are_the_servers_own_fault() -> None:
    async with running(decoder=command("exit@start")) as server:
        response = await upload(server)

    assert (response.status_code, error_of(response)["code"]) == (500, "internal")


async def test_a_client_that_goes_takes_its_decoder_with_it() -> None:
    before = footprint()
    body = form(("file", POISON))
    async with running(decoder=command("hang@8000=1")) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(body)}") + body)
        await until(lambda: bool(server.files._jobs) and server.decoders.spare is None)
        await until(lambda: len(footprint()[1]) > len(before[1]))
        writer.close()
        await until(lambda: not server.files._jobs)
        await until(lambda: server.decoders.spare is not None)
        spares = [pid for pid in footprint()[1] if pid not in before[1]]
        assert spares == [server.decoders.spare]

    assert footprint() == before


async def test_a_server_that_must_end_leaves_no_decoder(gated: GatedRecognizer) -> None:
    before = footprint()
    async with running(replace(LOCAL, drain_timeout_s=0.0), gated) as server, asyncio.TaskGroup() as group:
        first = group.create_task(upload(server, sound_file(np.tile(sentence(1, 2), 60))))
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        assert (await first).status_code == 503
        gated.gate.set()

    assert footprint() == before


async def test_who_may_not_speak_starts_no_decoder() -> None:
    async with running(replace(LOCAL, token="a-token-that-nobody-guesses")) as server:
        status, _, _ = await answered(server, [head("Content-Length: 0")])
        await asyncio.sleep(0)
        assert server.decoders.spare is None

    assert status == 401


@pytest.mark.parametrize("size", [0, 100, MEMORY_BYTES - 1, MEMORY_BYTES, 3 * MEMORY_BYTES + 1])
async def test_a_small_upload_never_sees_the_disk_and_any_can_be_read_by_another_process(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    with Upload() as received:
        for at in range(0, size, 65_521):
            received.write(data[at : at + 65_521])
            await received.settle()
        await received.settle(least=0)
        file = received.file

        assert open_again(file.fileno()) == data
        assert names_memory(file.fileno()) == (size < MEMORY_BYTES)
        file.seek(0)
        assert file.read() == data


def open_again(descriptor: int) -> bytes:
    return Path(f"/proc/self/fd/{descriptor}").read_bytes()


def names_memory(descriptor: int) -> bool:
    return "memfd:" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
