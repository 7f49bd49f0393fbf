"""The page's side of `/v1/stream`, told by a test what the server says: what a real one says too seldom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAY = """async () => {
    window.sockets = [];
    window.news = [];
    window.WebSocket = class {
        static OPEN = 1;
        readyState = WebSocket.OPEN;
        bufferedAmount = 0;
        sent = [];
        constructor() { sockets.push(this); }
        send(data) {
            this.sent.push(typeof data === "string" ? JSON.parse(data) : data.length);
            if (typeof data !== "string") this.bufferedAmount += window.slow ? 2 * data.length : 0;
        }
        close() {}
    };
    const { Stream } = await import("/pages/stream.js");
    const place = { sample: 0, sessions: 0 };
    window.stream = new Stream({ language: "", task: "transcribe" }, "", place, (one) => news.push(one));
    stream.open();
}"""
SECOND = 16_000


@dataclass
class Play:
    """A page with a stream and, in place of its sockets, the test."""

    page: Any

    async def greet(self, **fields: Any) -> Any:
        """Accept the newest connection, once the page has tried; return what `start` said."""
        start = await self.ask()
        await self.say("ready", model="m", **{"session": "a", "resume_token": "t", "epoch": "e"} | fields)
        return start

    async def ask(self) -> Any:
        """Let the page send `start`, and say nothing."""
        await self.page.wait_for_function("() => sockets.length && !sockets.at(-1).sent.length")
        await self.page.evaluate("() => sockets.at(-1).onopen()")
        return await self.page.evaluate("() => sockets.at(-1).sent[0]")

    async def say(self, kind: str, **fields: Any) -> None:
        await self.page.evaluate(
            "said => sockets.at(-1).onmessage({ data: JSON.stringify(said) })", {"type": kind} | fields
        )

    async def close(self, code: int) -> None:
        await self.page.evaluate("code => sockets.at(-1).onclose({ code })", code)

    async def push(self, seconds: int) -> None:
        await self.page.evaluate(
            "seconds => { for (let n = 0; n < 10 * seconds; n++) stream.push(new Int16Array(1600)); }", seconds
        )

    async def sent(self) -> tuple[int, list[str]]:
        """Return the samples and the other messages that went over the newest connection."""
        sent = await self.page.evaluate("() => sockets.at(-1).sent")
        samples = sum(one for one in sent if isinstance(one, int))
        return samples, [one["type"] for one in sent if isinstance(one, dict)]

    async def states(self) -> list[str]:
        return await self.page.evaluate("() => news.filter(one => one.state).map(one => one.state)")


@pytest_asyncio.fixture(loop_scope="session")
async def play(desk, quiet) -> Play:
    page = await desk.page()
    await page.clock.install()
    await page.goto(quiet)
    await page.evaluate(PLAY)
    return Play(page)


async def test_the_done_of_a_server_that_ends_is_not_the_last_while_audio_waits_to_be_sent(play):
    await play.page.evaluate("() => { window.slow = true; }")
    await play.greet(resume_from=0)
    await play.push(30)
    await play.page.evaluate("() => stream.stop()")
    assert await play.sent() == (4 * SECOND, ["start"])

    await play.page.evaluate("() => { window.slow = false; }")
    await play.say("done", audio=3.0, commits=0)
    await play.close(1012)
    assert (await play.states())[-1] == "waiting"
    await play.greet(resume_from=3 * SECOND)
    assert await play.sent() == (27 * SECOND, ["start", "stop"])
    await play.say("done", audio=30.0, commits=0)
    await play.close(1000)
    assert await play.page.evaluate("() => news.at(-1)") == {"state": "ended", "why": ""}


@pytest.mark.parametrize("end", ["push(new Int16Array(1600))", "stop()"])
async def test_nothing_is_sent_to_a_server_that_has_closed_before_the_browser_says_so_and_it_is_sent_to_the_next(
    play, end
):
    await play.greet(resume_from=0)
    await play.push(1)
    await play.page.evaluate(f"() => {{ sockets.at(-1).readyState = 2; stream.{end}; }}")
    assert await play.sent() == (SECOND, ["start"])

    await play.close(1012)
    await play.greet(resume_from=SECOND)
    assert await play.sent() == ((1600, ["start"]) if "push" in end else (0, ["start", "stop"]))


async def test_an_attempt_of_its_own_that_comes_late_does_not_end_a_stream_and_another_s_does(play):
    await play.greet(resume_from=0)
    await play.push(1)
    await play.close(1006)
    await play.ask()
    await play.close(1006)  # when `start` was sent and before it was answered
    await play.greet(resume_from=SECOND)
    await play.say("error", code="taken_over", message="elsewhere")
    await play.close(4409)
    assert await play.page.evaluate("() => news.at(-1).why") == "The connection is lost"

    await play.greet(resume_from=SECOND)
    await play.push(1)
    await play.say("error", code="taken_over", message="elsewhere")
    await play.close(4409)
    assert (await play.states())[-1] == "refused"


async def test_a_refusal_in_place_of_an_answer_counts_as_no_attempt_that_may_come_late(play):
    await play.greet(resume_from=0)
    await play.close(1006)
    await play.ask()
    await play.say("error", code="busy", message="all sessions are taken")
    await play.close(1013)
    await play.greet(resume_from=0)
    await play.say("error", code="taken_over", message="elsewhere")
    await play.close(4409)
    assert (await play.states())[-1] == "refused"


async def test_a_server_that_takes_a_connection_and_says_nothing_is_tried_again(play):
    await play.greet(resume_from=0)
    await play.close(1006)
    await play.ask()
    count = await play.page.evaluate("() => sockets.length")
    await play.page.clock.fast_forward(10_100)
    assert await play.page.evaluate("() => news.at(-1).why") == "The server does not answer"
    await play.page.clock.fast_forward(1_000)
    await play.greet(resume_from=0)
    assert await play.page.evaluate("() => sockets.length") == count + 1
    await play.page.clock.fast_forward(10_100)
    assert (await play.states())[-1] == "live"


async def test_a_server_that_does_not_even_say_why_it_lets_nobody_in_is_tried_again(play):
    asked = asyncio.Event()
    await play.page.route("**/v1/capabilities", lambda _: asked.set())  # and it is not answered
    await play.close(1006)
    await asked.wait()
    await play.page.clock.fast_forward(10_100)
    await play.page.wait_for_function("() => news.at(-1).state === 'waiting'")
    await play.page.clock.fast_forward(1_000)
    await play.greet(resume_from=0)
    assert (await play.states())[-1] == "live"


async def test_text_that_the_server_does_not_have_any_more_is_a_gap_before_the_commit_that_comes_instead(play):
    await play.greet(resume_from=0)
    for number, start in ((1, 1.0), (4, 5.0), (4, 5.0), (5, 6.0)):
        await play.say("commit", id=number, utterance=1, text="w", start=start, end=start + 1, words=[])
    await play.say("gap", start=7.0, end=8.0, reason="the server says so itself")
    await play.say("commit", id=9, utterance=2, text="w", start=9.0, end=10.0, words=[])
    told = await play.page.evaluate("() => news.filter(one => one.message).map(one => one.message)")
    assert [(one["type"], one["start"], one["end"]) for one in told] == [
        ("commit", 1, 2),
        ("gap", 2, 5),
        ("commit", 5, 6),
        ("commit", 6, 7),
        ("gap", 7, 8),
        ("commit", 9, 10),
    ]


async def test_a_server_that_ends_when_it_has_everything_is_not_come_back_to(play):
    await play.greet(resume_from=0)
    await play.push(2)
    await play.page.evaluate("() => stream.stop()")
    await play.say("done", audio=2.0, commits=0)
    await play.close(1012)
    assert await play.page.evaluate("() => news.at(-1)") == {"state": "ended", "why": ""}


async def test_a_server_that_is_behind_has_all_the_time_that_it_needs_for_the_rest_while_it_says_something(play):
    await play.greet(resume_from=0)
    await play.push(45)
    await play.page.evaluate("() => stream.stop()")
    for number in range(1, 4):
        await play.page.clock.fast_forward(25_000)
        await play.say("commit", id=number, utterance=1, text="w", start=number, end=number + 1, words=[])
    assert (await play.states())[-1] == "finishing"

    await play.page.clock.fast_forward(30_100)
    assert "did not answer" in await play.page.evaluate("() => news.at(-1).why")


async def test_a_server_that_refuses_again_and_again_is_not_waited_for_after_stop(play):
    await play.greet(resume_from=0)
    await play.push(5)
    await play.page.evaluate("() => stream.stop()")
    await play.close(1006)
    for _ in range(320):
        await play.page.clock.run_for(100)
        if not await play.page.evaluate("() => sockets.at(-1).sent.length"):
            await play.ask()
            await play.say("error", code="busy", message="all sessions are taken")
            await play.close(1013)
    assert (await play.states())[-1] == "ended"
