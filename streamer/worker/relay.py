"""Log lines of the child in the parent's log: told as data, written there, so that they look like all others."""

from __future__ import annotations

import logging

from streamer import logs
from streamer.worker.link import Link
from streamer.worker.messages import LogLine


class RelayHandler(logging.Handler):
    """Sends the records of this process to the parent."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            self._link.send(
                LogLine(
                    logger=record.name,
                    level=record.levelno,
                    created=record.created,
                    message=record.getMessage(),
                    fields=logs.fields(record),
                    traceback=logs.traceback_of(record),
                )
            )
        except Exception:  # noqa: BLE001  # as every handler does: a bad line must not end what it tells of
            self.handleError(record)


def configure_relay(link: Link, level: str) -> None:
    """Send all logging of this process to the parent."""
    logging.basicConfig(level=level, handlers=[RelayHandler(link)], force=True)


def repeat(line: LogLine) -> None:
    """Log a line of the child here, at its own time."""
    logs.tell(
        logging.getLogger(line.logger),
        line.level,
        line.message,
        line.fields,
        traceback=line.traceback,
        created=line.created,
    )
