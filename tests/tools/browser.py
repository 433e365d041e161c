"""A headless Chromium that watches what a page does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_QUIET = [
    "--no-sandbox",  # which root would need to be without
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT = 600_000
"""Milliseconds until a test gives up waiting; nothing but a fault takes so long, however busy the machine."""


def _program() -> str | None:
    """Return where Chromium is, None for the one that `playwright install chromium` got; skip the test without any."""
    known = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    found = next(filter(None, known), None)
    own = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright")
    if found is None and not list(Path(own).glob("chromium*")):
        if os.environ.get("STYLEGAN_TORCH_NEEDS_BROWSER"):
            pytest.fail("no Chromium here")
        pytest.skip("needs Chromium: `playwright install chromium`, or your system's package")
    return found


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """Start the browser, with more flags if wanted."""
    from playwright.sync_api import sync_playwright

    program = _program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_QUIET, *flags], timeout=WAIT)
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Any,
    url: str,
    width: int = 1300,
    height: int = 1000,
    *,
    script: str = "",
    prefix: str | None = None,
    expected: str = "\0",
    **more: Any,
) -> Iterator[Any]:
    """Open a page as somebody new, with a script that comes first; `more` is what Playwright takes of a context.

    In the end, nothing may have gone wrong in it, nor may it have asked for anything that begins with another `prefix`,
    by default the page's own address; an error with the words `expected` is none.
    """
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **more)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" and expected not in said.text else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: _check_request(request.url, prefix or url, complaints))
    if script:
        page.add_init_script(script)
    page.goto(url)
    yield page
    context.close()
    assert complaints == []


@contextmanager
def browsing(url: str, width: int = 1300, height: int = 1000, *, script: str = "") -> Iterator[Any]:
    """Open a page in a browser of its own; see `visiting`."""
    with chromium() as browser, visiting(browser, url, width, height, script=script) as page:
        yield page


def _check_request(asked: str, url: str, complaints: list[str]) -> None:
    if not asked.startswith((url, "data:", "blob:")):
        complaints.append(f"asked for {asked}")


def finished(page: Any, *words: str) -> str:
    """Wait until the page offers the files of what it shows and the command line has these words; returns that."""
    for word in ("stylegan draw", *words):
        page.locator("#commands", has_text=word).wait_for(state="attached")
    page.locator("#download-png:not([disabled])").wait_for()
    return str(page.locator("#commands").text_content())


def downloaded(page: Any, button: Any, folder: Path) -> Path:
    """Press a button, a locator, and return the file that comes of it."""
    with page.expect_download() as coming:
        button.click()
    path = folder / str(coming.value.suggested_filename)
    coming.value.save_as(path)
    return path
