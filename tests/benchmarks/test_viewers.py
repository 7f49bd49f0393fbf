"""Many viewers of one speaker, some of whom read nothing: in small, and from what was seen to a table."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.clients import Outcome
from benchmarks.delays import Delays
from benchmarks.viewer_crowd import Crowd, Seen, watch
from benchmarks.viewers import Turns, add, describe
from benchmarks.viewers_plot import plot_viewers
from streamer.config import ServerConfig
from streamer.watching.broadcast import LOG_ENTRIES
from tests.streamer.harness import connected, listen, metric, running, s16, sentence, until

CROWD = Crowd(20, 2)
SPEECH = np.concatenate([sentence(*range(1, 9)), sentence(*range(9, 17)), sentence(3, 2, 1)])
SAID = [" ".join(f"w{word}" for word in words) for words in (range(1, 9), range(9, 17), (3, 2, 1))]


async def test_of_twenty_viewers_two_stall_and_are_cut_the_others_see_every_commit_and_the_speaker_every_word():
    async with running(ServerConfig(port=0, send_timeout_s=1.0)) as server, connected(server) as speaker:
        await speaker.send(json.dumps({"type": "start"}))
        session = json.loads(await speaker.recv())["session"]
        said = server.audience.find(session)
        async with asyncio.TaskGroup() as group:
            crowd = group.create_task(watch(server.port, CROWD, session))
            told = group.create_task(listen(speaker))
            await until(lambda: said.viewers == CROWD.viewers)
            for at in range(0, len(SPEECH), 1600):
                await speaker.send(s16(SPEECH[at : at + 1600]))
            await until(lambda: said.viewers == CROWD.viewers - CROWD.stalled)
            cut = await metric(server, "streamer_viewers_cut_total")
            await speaker.send('{"type":"stop"}')
        heard, seen = told.result(), crowd.result()

    assert heard.finals == SAID
    assert cut == CROWD.stalled
    assert len(seen) == CROWD.viewers - CROWD.stalled
    ids = tuple(commit["id"] for commit in heard.of("commit"))
    assert [viewer.commits for viewer in seen] == [ids] * len(seen)
    assert {(viewer.last, viewer.close) for viewer in seen} == {("done", 1000)}
    assert all(viewer.partials > 0 for viewer in seen)
    assert said.log.last - said.log.gone <= LOG_ENTRIES


WELL = Outcome(30.0, delays=Delays(committed=[0.3, 0.4]), lags=(0.1, 0.2))
SEEN = Seen((1, 2), 5, "done", 1000)
OBSERVER = SimpleNamespace(peak_mib=400.0, cut=1.0, cut_after=21.0, stalled=1)


@pytest.mark.parametrize(
    ("outcome", "seen", "cut", "complaint"),
    [
        (WELL, [SEEN, SEEN], 1.0, None),
        (replace(WELL, failure="gone"), [SEEN], 1.0, "the speaker: gone"),
        (WELL, [SEEN, replace(SEEN, commits=(2,))], 1.0, "1 viewers did not get every commit"),
        (WELL, [SEEN, replace(SEEN, commits=())], 1.0, "1 viewers did not get every commit"),
        (WELL, [SEEN, replace(SEEN, close=1013)], 1.0, "1 viewers did not get every commit"),
        (WELL, [SEEN], 0.0, "0 viewers were cut, not the 1"),
        (WELL, [SEEN], 2.0, "2 viewers were cut, not the 1"),
    ],
)
def test_what_must_not_be_is_stated(outcome, seen, cut, complaint):
    turns = Turns()
    add(turns, outcome, seen, SimpleNamespace(**{**vars(OBSERVER), "cut": cut}))

    assert bool(turns.failures) == (complaint is not None)
    assert complaint is None or complaint in turns.failures[0]


def test_the_table_gives_ratios_of_watched_to_unwatched():
    unwatched, watched = Turns(), Turns()
    add(unwatched, WELL, [], SimpleNamespace(**{**vars(OBSERVER), "cut": 0.0, "cut_after": None, "stalled": 0}))
    add(watched, replace(WELL, lags=(0.2, 0.4)), [SEEN], OBSERVER)

    table = describe(unwatched, watched, Crowd(2, 1), 7.0, command="c", where="here")

    assert "| lag p50 | 0.100 s | 0.200 s | 2.00 |" in table
    assert "within: 21 s. " in table
    assert "skipped: 7." in table
    assert "unwatched 0.10 s;\nwatched 0.20 s." in table
    assert "None." in table


def test_the_lags_are_drawn(tmp_path):
    plot_viewers([0.1, 0.2], [0.1, 0.3], 200, tmp_path / "viewers.png")

    assert (tmp_path / "viewers.png").read_bytes().startswith(b"\x89PNG")
