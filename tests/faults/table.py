"""Every case, in the order of the plan's matrix."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults import bad_frames, bad_messages, load, microphone, network, processes, storage, web
from tests.faults.scene import Case

CASES: tuple[Case, ...] = (
    *bad_frames.CASES,
    *bad_messages.CASES,
    *load.CASES,
    *processes.CASES,
    *network.CASES,
    *storage.CASES,
    *microphone.CASES,
    *web.CASES,
)


def chosen(names: Iterable[str]) -> list[Case]:
    """Return the cases of these ids or groups, all if there are none. Raises ValueError for a name of neither."""
    wanted = [name.upper() for name in names]
    for name in wanted:
        if not any(name in {case.id, case.id[0]} for case in CASES):
            raise ValueError(f"a case must be a group or an id such as A1, got {name!r}")
    return [case for case in CASES if not wanted or case.id in wanted or case.id[0] in wanted]
