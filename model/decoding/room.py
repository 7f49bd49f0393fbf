"""How much memory there is for what only saves work."""

from __future__ import annotations

import os
from pathlib import Path

import torch

SHARE, GPU_SHARE = 8, 4
"""What may be kept: one part in so many of all memory, or of what is free of a GPU's once the network is there."""
CGROUPS = Path("/sys/fs/cgroup")


def room_on(device: torch.device) -> int:
    """Return how many bytes may be kept on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) // GPU_SHARE
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *cgroup_limits()]) // SHARE


def cgroup_limits(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Return the limits of memory of this process' control group and those above it (Linux, cgroup v2); maybe none.

    A container or a unit with `MemoryMax` has less than the machine.
    """
    try:
        name = next(line.removeprefix("0::/") for line in own.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):
        return []
    group = root / name
    found = [_limit(folder / "memory.max") for folder in (group, *group.parents) if folder.is_relative_to(root)]
    return [limit for limit in found if limit is not None]


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # the root has none, and "max" is no limit
        return None
