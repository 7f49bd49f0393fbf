"""The daemon and its clients while the recognizer's process comes and goes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from streamer.recognition import recovery
from streamer.server import Server
from streamer.worker.backoff import Backoff
from streamer.worker.causes import Cause
from streamer.worker.supervisor import Supervisor
from tests.faulty.speaker import Speaker
from tests.faulty.verdict import Verdict
from tests.streamer.harness import get, metric, running, until
from tests.streamer.http.uploads import error_of, upload
from tests.streamer.worker.processes import children


@asynccontextmanager
async def daemon(*faults: str, **options: object) -> AsyncIterator[tuple[Server, Supervisor]]:
    async with children(*faults, **options) as supervisor, running(recognizer=supervisor) as server:
        yield server, supervisor


async def speak(server: Server, *speakers: Speaker) -> None:
    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speaker.run(server.port))


async def test_clients_are_warned_and_lose_nothing_when_the_process_dies():
    async with daemon("segv@4", "kill@9*") as (server, supervisor):
        speakers = [Speaker(key, [5, 30, 12]) for key in range(4)]
        await speak(server, *speakers)
        assert supervisor.restarts[Cause.CRASHED] == 1
        assert supervisor.restarts[Cause.KILLED] >= 1

    for speaker in speakers:
        assert (speaker.verdict, speaker.close_code) == (Verdict(), 1000)
        assert set(speaker.warnings) == {"engine_restarted"}


async def test_a_poisonous_stream_loses_its_own_words_only_and_is_shunned_in_the_end():
    async with daemon("segv@key=2") as (server, supervisor):
        speakers = [Speaker(key, [6] * 6) for key in range(4)]
        await speak(server, *speakers)
        restarts = supervisor.restarts.total()
        assert server.engine.ready

    verdicts = [speaker.verdict for speaker in speakers]
    assert verdicts[0] == verdicts[1] == verdicts[3] == Verdict()
    assert verdicts[2].sound
    assert verdicts[2].in_gaps == len(speakers[2].said)
    assert restarts <= 9, "it is not tried for ever"


async def test_an_error_of_one_streams_decode_is_its_own_and_costs_no_process():
    async with daemon("raise@key=2") as (server, supervisor):
        speakers = [Speaker(key, [6, 6]) for key in range(3)]
        await speak(server, *speakers)
        assert not supervisor.restarts

    assert speakers[0].verdict == speakers[1].verdict == Verdict()
    assert speakers[2].verdict.in_gaps == 12


async def test_the_daemon_is_not_ready_without_a_process_and_says_why_in_its_metrics():
    class Lasting(Backoff):
        def pause(self) -> float:
            return 1000.0

    async with daemon(backoff=Lasting()) as (server, supervisor):
        assert (await get(server, "/readyz"))[0] == 200
        assert await metric(server, "streamer_worker_up") == 1
        lost = asyncio.Event()
        hear = supervisor.on_loss
        supervisor.on_loss = lambda loss: (hear(loss), lost.set())
        os.kill(supervisor.pid, signal.SIGKILL)
        await lost.wait()

        assert (await get(server, "/readyz"))[0] == 503
        assert (await get(server, "/healthz"))[0] == 200
        assert await metric(server, 'streamer_worker_restarts_total{cause="killed"}') == 1
        assert await metric(server, "streamer_worker_up") == 0
        assert server.recognition.alive(), "the service manager has nothing to mend"


async def test_the_age_of_the_heartbeat_and_the_counts_of_steps_are_shown():
    async with daemon() as (server, _):
        await speak(server, Speaker(1, [5]))

        assert 0 < await metric(server, "streamer_worker_heartbeat_age_seconds") < 30
        assert await metric(server, 'streamer_decode_steps_total{by="graph"}') >= 1


async def test_no_new_streams_are_taken_for_a_while_after_memory_ran_out():
    async with daemon("memory@1") as (server, supervisor):
        early = Speaker(1, [5])
        await speak(server, early)
        late = Speaker(2, [5])
        await speak(server, late)

    assert supervisor.restarts == {Cause.MEMORY: 1}
    assert early.verdict == Verdict()
    assert late.close_code == 1013
    assert late.of("error")[0]["code"] == "overloaded"


async def test_while_there_is_no_memory_for_new_streams_the_daemon_is_not_ready_and_says_why():
    async with daemon("memory@1") as (server, _):
        await speak(server, Speaker(1, [5]))

        assert (await get(server, "/readyz"))[0] == 503
        assert await metric(server, "streamer_ready") == 0
        refused = await upload(server)
        late = Speaker(2, [5])
        await speak(server, late)

    why = "recognition ran out of memory a moment ago; try later"
    assert late.of("error")[0]["message"] == why
    assert (refused.status_code, error_of(refused)["message"]) == (503, why)


async def test_a_process_in_which_everything_fails_is_replaced(monkeypatch):
    monkeypatch.setattr(recovery, "RETRY_S", 0.05)
    async with daemon("raise@after=0") as (server, supervisor):
        speaker = Speaker(1, [6] * 8)
        await speak(server, speaker)

    assert supervisor.restarts == {Cause.FAILING: 1}
    assert speaker.verdict.sound
    assert speaker.verdict.in_gaps < len(speaker.said)


async def test_while_every_process_fails_nobody_is_let_in_and_those_inside_are_not_ended_for_it(monkeypatch):
    monkeypatch.setattr(recovery, "RETRY_S", 0.05)
    async with daemon("raise@after=0", "raise@child>=2") as (server, supervisor):
        speaker = Speaker(1, [6] * 4)
        await speak(server, speaker)
        await until(lambda: not server.engine.ready)

        assert (await get(server, "/readyz"))[0] == 503
        assert server.recognition.alive(), "another daemon would do no better, and cost them their sessions"
        assert supervisor.restarts[Cause.FAILING]
    assert speaker.close_code == 1000


async def test_kills_at_random_moments_lose_double_and_change_no_word():
    rng = random.Random(6)
    async with daemon("slow:0.005@every") as (server, supervisor):
        speakers = [Speaker(key, [rng.randint(3, 40) for _ in range(8)], speed=40) for key in range(3)]

        async def kill() -> None:
            for _ in range(10):
                await asyncio.sleep(rng.uniform(0.0, 0.1))
                await supervisor.available()
                await asyncio.sleep(rng.uniform(0.0, 0.05))
                with suppress(ProcessLookupError):
                    os.kill(supervisor.pid or 2**22 + 1, signal.SIGKILL)

        async with asyncio.TaskGroup() as group:
            killing = group.create_task(kill())
            await speak(server, *speakers)
            killing.cancel()
        assert supervisor.restarts[Cause.KILLED] >= 4

    assert [speaker.verdict for speaker in speakers] == [Verdict()] * 3
    assert [speaker.close_code for speaker in speakers] == [1000] * 3
