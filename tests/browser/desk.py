"""Pages in a browser, and a note of everything that they should not have done."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

HERE = {"127.0.0.1", "localhost", "elsewhere.test", None}
"""elsewhere.test is made to be this machine too; None: made in the page, such as a file to download."""


class Desk:
    """The pages of one test, each with storage of its own."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []
        """What was said on a console, or thrown and not caught."""
        self.addresses: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that a test provokes."""

    async def page(self, **options: Any) -> Any:
        """Open an empty page."""
        context = await self._browser.new_context(**options)
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        page = await context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("crash", lambda _: self._note("error", "the page crashed"))
        context.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        return page

    @property
    def strangers(self) -> list[str]:
        """Addresses that were asked and are not on this machine."""
        return [url for url in self.addresses if urlsplit(url).hostname not in HERE]

    async def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(part in text for part in self.expected):
            self.complaints.append(f"{kind}: {text}")


async def violations(page: Any) -> list[str]:
    """Return what axe finds to be a serious or critical barrier, in both colour schemes."""
    from axe_playwright_python.async_playwright import Axe

    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        results = await Axe().run(page)
        found += [
            f"{scheme}: {violation['id']}: {[node['html'][:200] for node in violation['nodes']]}"
            for violation in results.response["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
    return found
