"""A file without a name, in memory: the kernel frees it when all who hold it are gone, however they went."""

from __future__ import annotations

import os


def memory_file(name: str) -> int:
    """Make one that is empty (memfd_create(2)); return its descriptor, which no child inherits by itself.

    `name` is what tools show for it. Where the system has no such files it lies in a temporary folder.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    import tempfile  # noqa: PLC0415  # for other systems, and slow to import

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
