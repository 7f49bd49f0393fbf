"""The child's side: serves a recognizer to the parent until one of the two ends."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn, assert_never

from model.errors import ModelError
from model.types import Recognizer
from streamer.config import ConfigError
from streamer.processes.children import die_with_parent, leave, leave_signals_to_parent
from streamer.worker.block import Block
from streamer.worker.causes import Cause
from streamer.worker.halving import Halving
from streamer.worker.link import Link
from streamer.worker.messages import Answer, Failure, Farewell, Forget, Ready, Refused, Start, Work
from streamer.worker.pulse import begin_pulse
from streamer.worker.relay import configure_relay
from streamer.worker.trouble import Trouble, trouble_of

Maker = Callable[[Start], Recognizer]
"""Loads what is served. Raises ModelError, ConfigError for what cannot be had."""


def main(make: Maker) -> NoReturn:
    """Be a child: the command line ends with connection, block, the block's windows, and the parent's number."""
    leave_signals_to_parent()
    connection, memory, windows, parent = map(int, sys.argv[-4:])
    die_with_parent(parent)
    os.dup2(2, 1)  # standard output is the daemon's
    faulthandler.enable()
    block = Block(memory, windows)
    os.close(memory)
    os.set_inheritable(connection, False)  # noqa: FBT003  # its only argument
    link = Link(socket.socket(fileno=connection), block)
    start = link.receive()
    if not isinstance(start, Start):
        leave()
    configure_relay(link, start.log_level)
    begin_pulse(link)
    recognizer = load(make, start, link)
    Host(recognizer, link).run()
    leave()


def load(make: Maker, start: Start, link: Link) -> Recognizer:
    """Load the recognizer and tell the parent what it is; if it cannot be had, tell that and end."""
    try:
        recognizer = make(start)
    except (ModelError, ConfigError) as error:
        link.send(Refused(str(error), isinstance(error, ConfigError)))
        leave()
    except BaseException as error:  # noqa: BLE001  # it is told where it will be read
        cause = {Trouble.MEMORY: Cause.MEMORY, Trouble.DEVICE: Cause.DEVICE}.get(trouble_of(error), Cause.CRASHED)
        link.send(Farewell(cause, describe(error), traceback.format_exc()))
        leave()
    link.send(Ready(recognizer.card, getattr(recognizer, "notice", "")))
    return recognizer


class Host:
    """Answers one message after another."""

    def __init__(self, recognizer: Recognizer, link: Link) -> None:
        """Serve a recognizer that is loaded."""
        self._recognizer = recognizer
        self._halving = Halving(recognizer)
        self._link = link

    def run(self) -> None:
        """Serve until the parent is gone."""
        while (message := self._link.receive()) is not None:
            match message:
                case Work():
                    self._answer(message)
                case Forget(stream):
                    self._recognizer.forget(stream)
                case Start():
                    pass  # nothing comes of a second one
                case unreachable:
                    assert_never(unreachable)

    def _answer(self, work: Work) -> None:
        """Answer a batch; end this process if it is no good any more."""
        try:
            hypotheses = self._halving.transcribe(work.requests)
        except Exception as error:  # noqa: BLE001  # it is told to whoever asked
            story = traceback.format_exc()
            match trouble_of(error):
                case Trouble.REQUEST:
                    self._link.send(Failure(work.id, str(error) or describe(error), story))
                    return
                case Trouble.MEMORY:
                    cause = Cause.MEMORY
                case Trouble.DEVICE:
                    cause = Cause.DEVICE
            self._link.send(Farewell(cause, describe(error), story))
            leave()
        steps: dict[str, int] = getattr(self._recognizer, "step_counts", dict)()
        self._link.send(Answer(work.id, tuple(hypotheses), steps))


def describe(error: BaseException) -> str:
    """Return an error's first line, with its type."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
