"""Several processes rewrite the asserts of a share of the files each, rather than each of them those of all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Nothing public of pytest writes its cache. A pytest without these wants this file taken away, and nothing else.
from _pytest.assertion.rewrite import (
    PYC_TAIL,
    _read_pyc,
    _rewrite_test,
    _write_pyc,
    assertstate_key,
    get_cache_dir,
    try_makedirs,
)


def rewrite_share(config: pytest.Config) -> None:
    """Cache this process's share of the test files, as pytest would when it imports them.

    On a new checkout that is a quarter of a minute for one process, and pytest-xdist's all begin at the same time.
    Files are not imported here, so the order in which they are stays what it was.
    """
    shares = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if shares == 1 or sys.dont_write_bytecode:
        return
    first = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    for path in sorted(Path(__file__).parent.rglob("test_*.py"))[first::shares]:
        cached = get_cache_dir(path) / (path.stem + PYC_TAIL)
        if _read_pyc(path, cached) is None and try_makedirs(cached.parent):
            source, code = _rewrite_test(path, config)
            _write_pyc(config.stash[assertstate_key], code, source, cached)
