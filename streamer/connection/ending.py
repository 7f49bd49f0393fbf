"""How a session's input can come to its end, and which of several failures ended it."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.core.commands import Close, ErrorCode, ProtocolError


@dataclass(frozen=True, slots=True)
class Ending:
    """How the input ended, and so how the connection is closed once everything is decided."""

    close: Close | None
    """None if nobody is there to be told."""
    error: ProtocolError | None = None
    """Said in place of `done`."""
    by_client: bool = False
    """The client stopped and waits for the rest."""


GONE = Ending(None)
DRAINED = Ending(Close.RESTARTING)


class AbandonedError(Exception):
    """The rest of a session could not be decided within the time it had."""


def fatal(error: ProtocolError) -> Ending:
    """Return the ending that an error is."""
    return Ending(error.close, error)


def cut_short() -> ProtocolError:
    """Return what is said when the server does not wait for the rest."""
    complaint = "the server is going away; audio that was not decided yet is lost"
    return ProtocolError(ErrorCode.SHUTTING_DOWN, complaint, Close.RESTARTING)


def handed_over() -> ProtocolError:
    """Return what is said to a client whose session goes on with the next server."""
    complaint = "the server restarts: resume the session with the next one"
    return ProtocolError(ErrorCode.SHUTTING_DOWN, complaint, Close.RESTARTING)


def idle(seconds: float) -> Ending:
    """Return the ending of a client that says nothing."""
    return fatal(ProtocolError(ErrorCode.IDLE_TIMEOUT, f"nothing was received for {seconds:g} s", Close.NOT_ALLOWED))


def internal() -> Ending:
    """Return the ending by a failure of ours; its cause is for the log, not for the client."""
    complaint = "the server failed; this is its own fault"
    return fatal(ProtocolError(ErrorCode.INTERNAL, complaint, Close.OUR_FAULT))


def culprit(group: ExceptionGroup) -> Exception:
    """Return the exception that ended a task group: a failure of ours before a client's."""
    leaves: list[Exception] = []
    pending: list[Exception] = [group]
    while pending:
        error = pending.pop()
        if isinstance(error, ExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return min(leaves, key=lambda error: isinstance(error, ProtocolError | AbandonedError))
