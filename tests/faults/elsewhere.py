"""Cases that the suite holds already: its tests are run, and say how many they were."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable

from tests.faults.scene import Scene
from tests.faulty.child import ROOT


def proved(*tests: str, pick: str = "") -> Callable[[Scene], Awaitable[None]]:
    """Return a case that passes if these tests do, none of them skipped; `pick` as pytest's -k."""

    async def run(scene: Scene) -> None:
        chosen = ["-k", pick] if pick else []
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *tests, *chosen]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told = (await process.communicate())[0].decode().strip()
        last = told.splitlines()[-1] if told else ""
        scene.expect(process.returncode == 0, f"`pytest {' '.join(tests)}`: {last}")
        scene.expect("skipped" not in last, f"skipped: {last}")
        passed = re.search(r"(\d+) passed", last)
        names = ", ".join(f"`{name.removeprefix('tests/').replace('::', ' ')}`" for name in tests)
        scene.saw(f"{passed[1] if passed else 0} tests pass: {names}{f' ({pick})' if pick else ''}")

    return run


def both(*cases: Callable[[Scene], Awaitable[None]]) -> Callable[[Scene], Awaitable[None]]:
    """Return a case that is several, one after the other."""

    async def run(scene: Scene) -> None:
        for case in cases:
            await case(scene)

    return run
