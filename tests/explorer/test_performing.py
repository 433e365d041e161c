"""What the explorer's page does as time goes by, in a headless Chromium: films and recordings."""

from __future__ import annotations

import json
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


def test_what_one_does_is_recorded(page: Any, tmp_path: Path) -> None:
    page.click("#record")
    assert page.locator("#record").get_attribute("aria-pressed") == "true"
    for seed in (5, 6):
        page.fill("#seed", str(seed))
        _settled(page, seed)
    page.click("#record")
    page.locator("#status", has_text="recording-1: ").wait_for()
    film = _download(page, page.get_by_role("button", name="Download the film of recording-1"), tmp_path)
    assert film.read_bytes().startswith(b"\x1aE\xdf\xa3")
    states = _download(page, page.get_by_role("button", name="Download the states of recording-1"), tmp_path)
    said = json.loads(states.read_text())
    assert [each["state"] for each in said["shown"]] == [{}, {"seed": 5}, {"seed": 6}]
    assert [each["at"] for each in said["shown"]] == sorted(each["at"] for each in said["shown"])
    page.get_by_role("button", name="Remove recording-1").click()
    page.fill("#seed", "1")
    _settled(page, 1)
    film = {"keys": [{"state": {"seed": 2}, "seconds": 1}], "easing": "linear"}
    shown = [{"at": 0, "film": 0, "turn": 0.5}, {"at": 0.1, "state": {"seed": 4}}]
    said = {"stylegan-torch": "recording", "seconds": 0.2, "films": [film], "shown": shown}
    (tmp_path / "walk.json").write_text(json.dumps(said))
    page.set_input_files("#take-file", tmp_path / "walk.json")
    _settled(page, 4)
    page.get_by_role("button", name="Replay walk").wait_for()
    (tmp_path / "other.json").write_text(json.dumps({**said, "shown": [{"at": 0, "film": 7, "turn": 0}]}))
    page.set_input_files("#take-file", tmp_path / "other.json")
    page.locator("#status", has_text="other.json is no recording from here.").wait_for()
