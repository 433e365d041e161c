"""What the explorer's page does as time goes by, in a headless Chromium: films and recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tools.browser import chromium, visiting
from tests.tools.served import COMMAND, serving


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("websockets")
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(url: str, browser: Any) -> Iterator[Any]:
    with visiting(browser, url, expected="status of 400") as page:
        _settled(page, 0)
        yield page


def _settled(page: Any, seed: int) -> None:
    """Wait until the page shows a seed and offers its files."""
    page.locator("#commands", has_text=f"--seeds {seed} ").wait_for(state="attached")
    page.locator("#download-png:not([disabled])").wait_for()


def _download(page: Any, button: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        button.click()
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def test_key_frames_become_a_film(page: Any, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        page.fill("#seed", str(seed))
        _settled(page, seed)
        page.locator("#panel").press("k")
    page.get_by_role("button", name="Move back key frame 3").click()
    page.get_by_role("button", name="Remove key frame 3").click()
    page.get_by_label("Seconds from key frame 1 to the next").fill("0.2")
    page.get_by_label("Seconds from key frame 2 to the next").fill("0.3")
    page.locator("#panel").press("p")
    page.get_by_role("img", name="A moment of the film").wait_for()
    assert page.locator("#download-png").is_disabled()
    page.get_by_role("button", name="Go to key frame 2, the picture of seed 2, truncation 0.7").click()
    _settled(page, 2)
    assert page.get_by_role("button", name="Play").is_visible()
    page.select_option("#film-format", ".gif")
    page.fill("#film-fps", "60")
    page.click("#film-make")
    page.locator("#status", has_text="Frames a second: 60 is not what a GIF can have").wait_for()
    page.fill("#film-fps", "10")
    film = _download(page, page.locator("#film-make"), tmp_path)
    with Image.open(film) as opened:
        assert opened.n_frames == 5  # type: ignore[attr-defined]
    said = page.locator("#film-commands").text_content().splitlines()
    assert ["--seeds 0" in said[0], "--seeds 2" in said[1]] == [True, True]
    assert said[2].endswith(f".npz --seconds 0.5 --fps 10 --out {film.name}")
    page.select_option("#film-format", "recorded")
    assert _download(page, page.locator("#film-make"), tmp_path).read_bytes().startswith(b"\x1aE\xdf\xa3")  # EBML
    _settled(page, 2)
    page.reload()
    assert page.locator(".key").count() == 2
