"""Who is held for how long, without a server."""

from __future__ import annotations

import asyncio

import pytest

from streamer.config import WatchConfig
from streamer.core.events import Partial
from streamer.metrics import Metrics
from streamer.watching.audience import Audience


def audience(**limits: float) -> Audience:
    return Audience(WatchConfig(**limits), Metrics())


async def turns() -> None:
    """Let timers of no time, and those who wait for them, have their turn."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_session_that_is_back_before_it_is_forgotten_is_not_forgotten_after_all():
    all_who_watch = audience(keep_s=0)
    all_who_watch.close(all_who_watch.open("s", "native", None), 0, resumable=True)
    [forgetting] = all_who_watch._ended.values()
    back = all_who_watch.open("s", "native", None)
    await turns()

    assert forgetting.cancelled(), "it would cut short what is kept after the next end"
    assert all_who_watch.find("s") is back
    assert all_who_watch.live == [back]


async def test_a_connection_that_ends_after_another_has_its_session_does_not_end_that_one():
    all_who_watch = audience(keep_s=0)
    first = all_who_watch.open("s", "native", None)
    second = all_who_watch.open("s", "native", None)
    all_who_watch.close(first, 0, resumable=True)
    await turns()

    assert first.ended
    assert all_who_watch.live == [second]


async def test_a_session_that_never_began_is_told_nothing_and_ends_without_a_trace():
    all_who_watch = audience()
    host = all_who_watch.host("native")
    host.publish(Partial(1, "a", 0, 1))
    host.end(0, resumable=False)

    assert all_who_watch.live == []


@pytest.mark.parametrize("takes_it", [True, False])
async def test_a_server_that_ends_waits_for_its_viewers_and_cuts_off_who_does_not_take_the_end(
    takes_it, monkeypatch, caplog
):
    monkeypatch.setattr("streamer.watching.audience.DRAIN_S", 5.0 if takes_it else 0.01)
    all_who_watch = audience()
    said = all_who_watch.open("s", "native", None)
    aborted: list[str] = []
    with all_who_watch.seated(said, lambda: aborted.append("slow")):
        with all_who_watch.seated(said, lambda: aborted.append("quick")):
            ending = asyncio.create_task(all_who_watch.drain())
            await turns()
        await turns()
        assert not ending.done()
        if not takes_it:
            await ending
    await ending

    assert aborted == ([] if takes_it else ["slow"])
    assert ("1 viewers are cut off" in caplog.text) != takes_it


async def test_partials_that_a_viewer_was_too_slow_for_are_counted_when_it_goes():
    all_who_watch = audience()
    said = all_who_watch.open("s", "native", None)
    with all_who_watch.seated(said, lambda: None) as viewer:
        for text in "abc":
            said.publish(Partial(1, text, 0, 1))
        viewer.next()
        registry = all_who_watch._metrics.registry
        assert registry.get_sample_value("streamer_viewers") == 1

    assert registry.get_sample_value("streamer_viewer_partials_skipped_total") == 2
    assert registry.get_sample_value("streamer_viewers") == 0
    assert said.viewers == 0
