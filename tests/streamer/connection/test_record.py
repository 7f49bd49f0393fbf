"""What a session's record says of its past."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.connection.record import Record
from streamer.core.events import Commit
from tests.streamer.journal.test_journal import commit, opened


def told_again(record: Record) -> list[tuple[int, bool | None]]:
    """Return the commits of a session as whoever has none is told them: ids, and whether they are on the disk."""
    return [(event.id, event.durable) for event in record.since(0, 0, ()) if isinstance(event, Commit)]


@pytest.mark.parametrize("on_disk", [True, False])
async def test_what_is_told_again_is_said_to_be_on_the_disk_only_if_it_is(tmp_path: Path, on_disk: bool) -> None:
    path = tmp_path / "journal.sqlite" if on_disk else None
    async with opened(path) as journal:
        record = Record(journal, "s", "token")
        await record.note([commit(1).event], 1900)
        later = Record(journal, "s", "token", await journal.find("s"))
        assert told_again(record) == told_again(later) == [(1, on_disk)]
        if path is not None:
            path.unlink()
        await later.note([commit(2).event], 2900)
        assert told_again(later) == [(1, False), (2, on_disk)]
