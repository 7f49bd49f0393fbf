from __future__ import annotations

import asyncio
import threading

import pytest
from starlette.types import Message

from streamer.http.blocking import off_loop
from streamer.http.errors import invalid
from streamer.http.files import GoneError
from streamer.http.reply import PIECE_CHARACTERS, Reply
from tests.streamer.harness import until


class Client:
    """Takes what it is sent, until it does not."""

    def __init__(self, *, stuck: bool = False, broken: bool = False) -> None:
        self.messages: list[Message] = []
        self.aborted = False
        self._stuck = stuck
        self._broken = broken

    async def send(self, message: Message) -> None:
        if self._stuck:
            await asyncio.Event().wait()
        if self._broken:
            raise OSError
        self.messages.append(message)

    def abort(self) -> None:
        self.aborted = True

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


async def test_an_error_after_the_first_event_is_the_last_event() -> None:
    client = Client()
    reply = Reply(client.send, 1.0, client.abort)
    await reply.event(b"data: 1\n\n")
    await reply.refuse(invalid("file", "no"))

    assert [message["type"] for message in client.messages].count("http.response.start") == 1
    assert client.messages[0]["status"] == 200
    assert client.body.startswith(b'data: 1\n\ndata: {"error":{"message":"no"')
    assert client.messages[-1]["more_body"] is False


async def test_a_long_body_comes_in_pieces_of_which_the_last_is_the_end() -> None:
    client = Client()
    content = ["a" * (PIECE_CHARACTERS - 1), "b", "c"]
    await Reply(client.send, 1.0, client.abort).pieces("text/plain", content, {})
    _, *pieces = client.messages

    assert client.body.decode() == "".join(content)
    assert [piece.get("more_body", False) for piece in pieces] == [True, False]


async def test_a_client_that_takes_nothing_is_dropped() -> None:
    client = Client(stuck=True)
    with pytest.raises(GoneError) as caught:
        await Reply(client.send, 0.0, client.abort).event(b"")

    assert (client.aborted, caught.value.slow) == (True, True)


async def test_a_client_that_is_gone_is_no_failure() -> None:
    client = Client(broken=True)
    with pytest.raises(GoneError) as caught:
        await Reply(client.send, 1.0, client.abort).whole("text/plain", "a")

    assert (client.aborted, caught.value.slow) == (False, False)


async def test_a_call_that_blocks_has_ended_before_its_caller_is_cancelled() -> None:
    begun, enough, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        enough.wait()
        ended.set()

    task = asyncio.create_task(off_loop(work))
    await until(begun.is_set)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    enough.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()


async def test_what_a_blocking_call_raises_is_raised() -> None:
    def work() -> None:
        raise ValueError("a")

    with pytest.raises(ValueError, match="a"):
        await off_loop(work)
