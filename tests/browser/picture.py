"""Make the README's picture of the captions page: real digits, really recognised, while they are spoken.

python -m tests.browser.picture docs/captions.png
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from model.recognizer import WhisperRecognizer
from streamer.config import CommitPolicyName, Config, ServerConfig, SessionConfig
from streamer.daemon import serve
from tests.browser import chromium
from tests.digits import say

WIDTH, HEIGHT = 1280, 640
WORDS = 24
"""After so many of them, at the next one that may still change."""
MOMENT = """count => document.querySelectorAll("#captions .commit").length >= count
    && document.querySelector("#captions .partial") !== null"""


async def main(picture: Path) -> None:
    """Run a daemon, speak to its page, and take the picture."""
    recognizer = WhisperRecognizer.load("demo", device="cpu")
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    session = SessionConfig(commit_policy=CommitPolicyName.AGREEMENT)
    config = Config(server=ServerConfig(port=0, drain_timeout_s=0), session=session)
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(serve(config, recognizer, on_ready=bound.set_result))
        try:
            await take(picture, f"http://127.0.0.1:{await bound}/")
        finally:
            daemon.cancel()


async def take(picture: Path, address: str) -> None:
    program = chromium.program()
    if program is None:
        sys.exit("Chromium is not installed here (Debian: apt install chromium-headless-shell)")
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "speech.wav"
        chromium.write_speech(recording, say("jackson", 40, seed=21, every=8).audio)
        async with async_playwright() as driver:
            browser = await chromium.launch(driver, program, recording)
            page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
            await page.goto(address)
            await page.click("#start")
            await page.wait_for_function(MOMENT, arg=WORDS, timeout=60_000)
            await page.screenshot(path=picture, animations="disabled")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
