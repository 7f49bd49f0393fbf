"""Many streams on one device, from an idle one to beyond what it can do; time is virtual, the daemon is real."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.crowd import Client, Crowd, affine
from tests.virtual_time import run

DEMO = affine(0.009, 0.022)
"""The demo model on one core: measured."""


def talk(seconds: float, seed: int) -> tuple[Samples, list[str]]:
    """Speak phrases with pauses; return the audio and what is said."""
    dice = random.Random(seed)
    parts, said = [silence(SAMPLE_RATE // 2)], []
    while sum(map(len, parts)) < seconds * SAMPLE_RATE:
        phrase = [dice.randrange(LEVELS) for _ in range(dice.randint(3, 8))]
        said.append(" ".join(f"w{word}" for word in phrase))
        parts += [speak(phrase, gap=3000), silence(round(dice.uniform(0.9, 1.6) * SAMPLE_RATE))]
    return np.concatenate(parts), said


def crowd_of(count: int, seconds: float, apart: float = 0.1) -> tuple[list[Client], list[list[str]]]:
    talks = [talk(seconds, seed) for seed in range(count)]
    return [Client(audio, begins=apart * index) for index, (audio, _) in enumerate(talks)], [said for _, said in talks]


def serve(clients: Sequence[Client], cost=DEMO, **options) -> Crowd:
    """Run a crowd to its end."""

    async def main() -> Crowd:
        crowd = Crowd(cost, **options)
        await crowd.run(clients)
        return crowd

    return run(main())


def worst(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


def test_a_few_streams_are_updated_as_often_as_wanted_and_told_nothing_of_pace():
    clients, said = crowd_of(4, 10)
    serve(clients)

    assert [client.finals for client in clients] == said
    assert all(not client.of("pace") for client in clients)
    assert max(lag for client in clients for lag in client.lags) < 0.3


def test_more_streams_than_the_device_can_follow_are_stretched_and_lose_no_word():
    clients, said = crowd_of(32, 20)
    serve(clients)

    assert [client.finals for client in clients] == said
    assert all(client.of("pace") for client in clients), "each is told"
    assert worst([lag for client in clients for lag in client.lags], 0.95) < 1.0


def test_beyond_that_new_streams_are_refused_and_those_accepted_lose_no_word():
    clients, said = crowd_of(60, 15, apart=0.3)
    crowd = serve(clients, affine(0.02, 0.05))
    accepted = [(client, words) for client, words in zip(clients, said, strict=True) if client.refused is None]

    assert [client.finals for client, _ in accepted] == [words for _, words in accepted]
    assert all(client.heard[-1][1]["type"] == "done" for client, _ in accepted)
    assert not [client for client, _ in accepted if client.of("gap") or client.of("error")]
    assert 0 < len(clients) - len(accepted) < len(clients) - 10
    assert {client.refused for client in clients} == {None, "overloaded"}
    assert clients[0].of("pace")[-1]["interval"] > 0.4
    assert crowd.device.busy <= crowd.clock()


def test_when_the_crowd_has_gone_who_stays_is_updated_as_often_as_wanted_again():
    clients, _ = crowd_of(40, 8, apart=0.05)
    audio, said = talk(60, seed=1000)
    stays = Client(audio)
    serve([stays, *clients])

    told = [message["interval"] for message in stays.of("pace")]
    assert max(told) > 0.4
    assert told[-1] == 0.4
    assert stays.finals == said


def test_a_file_pushed_at_once_takes_what_the_others_leave():
    clients, said = crowd_of(6, 10)
    audio, everything = talk(60, seed=1000)
    file = Client(audio, at_once=True)
    crowd = serve([file, *clients])

    assert file.finals == everything
    assert [client.finals for client in clients] == said
    assert all(not client.of("pace") for client in clients), "a file is no reason to stretch anybody"
    assert worst([lag for client in clients for lag in client.lags], 0.95) < 0.3
    assert crowd.clock() < 60, "and it is faster than real time"


class Doubtful(LevelRecognizer):
    """Needs many attempts at everything that one stream says: the first that comes."""

    def __init__(self, attempts: int) -> None:
        super().__init__()
        self.attempts = attempts
        self.doubted: str | None = None

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.doubted = self.doubted or batch[0].stream
        return [
            replace(answer, settled=request.stream != self.doubted or request.attempt == self.attempts - 1)
            for request, answer in zip(batch, super().transcribe(batch), strict=True)
        ]


@pytest.mark.parametrize("attempts", [2, 5])
def test_a_stream_that_always_takes_the_slow_path_delays_the_others_by_no_more_than_its_own_batches(attempts):
    clients, said = crowd_of(8, 10)
    crowd = serve(clients, recognizer=Doubtful(attempts))
    slow = [bool(batch[0].attempt) for batch in crowd.device.batches]

    assert [client.finals for client in clients] == said
    assert any(slow)
    assert all(len(batch) == 1 for batch, late in zip(crowd.device.batches, slow, strict=True) if late)
    assert worst([lag for client in clients[1:] for lag in client.lags], 0.95) < 0.35
