"""A real Chromium without a network, for pages that must open offline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str:
    """Return the browser's path; the test fails where there is none."""
    named = os.environ.get("CHROMIUM")
    for candidate in [named] if named else [*map(shutil.which, _NAMES), "/usr/bin/chromium"]:
        if candidate and Path(candidate).is_file():
            return candidate
    pytest.fail("these tests need Chromium: apt-get install chromium, or name one in the variable CHROMIUM")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that was opened offline, and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        """Evaluate a piece of JavaScript in the page."""
        return self.page.evaluate(script)


@contextmanager
def opened(browser: Browser, file: Path, width: int = 1200) -> Iterator[Opened]:
    """Open a file with the network off; collect its requests and everything it complains about."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    try:
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on(
            "console",
            lambda message: found.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        found.page.goto(file.as_uri(), timeout=60_000)
        yield found
    finally:
        context.close()
