"""Log lines: one event a line, with its session, in plain text or JSON. Nothing a client says can forge one."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from streamer.config import LogConfig, LogFormat

SESSION: ContextVar[str] = ContextVar("session", default="")
"""The session this task works for; set by its connection."""

# What a LogRecord holds of itself: everything else came through `extra` and is a field of the event.
OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName", "session"}


def configure(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (default: stderr), replacing what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format is LogFormat.JSON else ConsoleFormatter())
    logging.basicConfig(level=config.level, handlers=[handler], force=True)
    # At DEBUG these write every frame with its content, which here are voices and words.
    for chatty in ("uvicorn", "websockets", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLevelName(config.level)))


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the session, if any, and what was passed as `extra`."""
    session = getattr(record, "session", SESSION.get())
    named = {"session": session} if session else {}
    return named | {name: value for name, value in vars(record).items() if name not in OWN}


def moment(record: logging.LogRecord) -> str:
    """Return when it happened: UTC, milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def escape(words: str) -> str:
    """Replace what is not printable (line ends, terminal escapes, direction marks) by its Python escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def traceback_of(record: logging.LogRecord) -> str:
    """Return the traceback that goes with a record, of this process or of one that has told it; empty for none."""
    if record.exc_info:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""


def tell(
    logger: logging.Logger,
    level: int,
    message: str,
    fields: Mapping[str, Any],
    *,
    traceback: str = "",
    created: float | None = None,
) -> None:
    """Log what another process has told, with its traceback, at the time at which it happened there."""
    if not logger.isEnabledFor(level):
        return
    record = logger.makeRecord(logger.name, level, "", 0, message, (), None)
    record.exc_text = traceback or None
    record.created = created or record.created
    vars(record).update((name, value) for name, value in fields.items() if name not in OWN)
    logger.handle(record)


class ConsoleFormatter(logging.Formatter):
    """Time, level, logger, message and fields; a traceback follows on lines that begin with a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        pairs = "".join(f" {name}={escape(str(value))}" for name, value in fields(record).items())
        line = f"{moment(record)} {record.levelname:<7} {record.name}: {escape(record.getMessage())}{pairs}"
        traceback = traceback_of(record).splitlines()
        return "\n".join([line, *(f"  | {escape(part)}" for part in traceback)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: time, level, logger, message, session, fields, traceback."""
        line = {"time": moment(record), "level": record.levelname, "logger": record.name}
        line |= {"message": record.getMessage()} | fields(record)
        if traceback := traceback_of(record):
            line["traceback"] = traceback
        return json.dumps(line, default=str)  # ASCII only: nothing in it can end a line or steer a terminal
