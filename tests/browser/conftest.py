"""One Chromium without a screen for all tests of this folder, its microphone fed from a file of spoken digits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from tests.browser import chromium
from tests.browser.desk import Desk
from tests.digits import FOLDER, Spoken, say
from tests.streamer.harness import running


@pytest.fixture(scope="session")
def said() -> Spoken:
    """What the microphone hears from the moment that a page opens it."""
    if not FOLDER.is_dir():
        pytest.skip("the recordings in ../shared/data/fsdd are not beside this checkout")
    return say("jackson", 8, seed=3, every=4)


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> Path:
    """The file; silence where there are no recordings, for the tests that want no words."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    spoken = say("jackson", 8, seed=3, every=4).audio if FOLDER.is_dir() else np.zeros(0, np.float32)
    chromium.write_speech(path, spoken)
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(recording: Path) -> AsyncIterator[object]:
    """Start Chromium, or say why not."""
    playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed here")
    program = chromium.program()
    if program is None:
        pytest.skip("Chromium is not installed here (Debian: apt install chromium-headless-shell)")
    async with playwright.async_playwright() as driver:
        browser = await chromium.launch(driver, program, recording)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quiet() -> AsyncIterator[str]:
    """Run a daemon that recognises nothing said by people; yield its page's address."""
    async with running() as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest_asyncio.fixture(loop_scope="session")
async def desk(browser) -> AsyncIterator[Desk]:
    """Pages, and what they must not do: complain, or ask anybody but the daemon."""
    desk = Desk(browser)
    yield desk
    await desk.close()
    assert desk.complaints == []
    assert desk.strangers == []
