"""Dragging, bending and moving pictures in the explorer's page, by mouse, touch and keyboard."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import checkpoints
from stylegan_torch.commands.main import main
from tests import DATA
from tests.tools.browser import finished, visiting
from tests.tools.served import COMMAND, serving

NETWORKS = ["--network", str(checkpoints.DEMO), "--network", str(DATA / "sg3t_64.pkl")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("websockets")
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore", *NETWORKS) as address:
        yield address


def _open(page: Any, tool: str) -> None:
    finished(page, "stylegan draw")
    page.locator("#drag summary").scroll_into_view_if_needed()
    page.locator("#drag summary").click()
    _choose(page, tool)


def _choose(page: Any, tool: str) -> None:
    page.locator(f"label:has(#drag-{tool.lower()})").click()


def _at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Return where on the screen a pixel of the picture is."""
    box = page.locator("#picture").bounding_box()
    return box["x"] + (x + 0.5) / 64 * box["width"], box["y"] + (y + 0.5) / 64 * box["height"]


def _stroke(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*_at(page, *start))
    page.mouse.down()
    page.mouse.move(*_at(page, *end), steps=4)
    page.mouse.up()


_PATHS = (((10, 10), (10, 30)), ((54, 10), (54, 30)))
_ALPHA = "([x, y]) => document.querySelector('.veil').getContext('2d').getImageData(x, y, 1, 1).data[3]"


def _label(page: Any, kind: str) -> str:
    return str(page.locator(f".handle.{kind}").first.get_attribute("aria-label"))


def test_by_mouse(url: str, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with visiting(browser, url) as page:
        _open(page, "Points")
        assert page.locator("#drag-play").is_disabled()
        _stroke(page, (26, 32), (21, 33))
        assert _label(page, "at").startswith("Point 1 at 26, 32")
        _stroke(page, (21, 33), (20, 32))
        assert _label(page, "to").startswith("Where point 1 shall be: 20, 32")
        _choose(page, "Brush")
        page.locator("#brush-size").fill("40")
        _stroke(page, (10, 32), (50, 32))
        with page.expect_download() as mask:
            page.get_by_role("button", name="Download the mask").click()
        page.click("#drag-step")
        assert f"--mask {mask.value.suggested_filename} --steps 1 " in finished(page, "stylegan drag")
        page.click("#drag-play")
        page.locator("#drag-line", has_text="Step").wait_for()
        page.locator(".handle.at").press("Delete")
        assert page.locator(".handle.at").count() == 1
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Play").wait_for()
        commands = finished(page, "--seed 0 ")
        with page.expect_download() as latents:
            page.click("#download-npz")
        page.locator("#undo").click()
        finished(page, "--steps 1 ")
        page.locator("#undo").click()
        assert "drag" not in finished(page, "--seeds 0 ")
        assert _label(page, "at").startswith("Point 1 at 26, 32")
        monkeypatch.chdir(tmp_path)
        mask.value.save_as(mask.value.suggested_filename)
        for command in commands.splitlines():
            again = CliRunner().invoke(main, shlex.split(command)[1:])
            assert again.exit_code == 0, again.output
        with np.load(latents.value.path()) as given, np.load(latents.value.suggested_filename) as drawn:
            assert all(np.array_equal(given[name], drawn[name]) for name in given.files)


@pytest.mark.long
def test_another_wish_stops_it(url: str, browser: Any) -> None:
    with visiting(browser, url) as page:
        _open(page, "Points")
        _stroke(page, (26, 32), (60, 60))
        page.click("#drag-play")
        page.locator("#drag-line", has_text="Step").wait_for()
        page.fill("#seed", "3")
        assert "drag" not in finished(page, "--seeds 3 ")
        assert page.get_by_role("button", name="Play").is_visible()


def test_by_keyboard(url: str, browser: Any) -> None:
    with visiting(browser, url) as page:
        _open(page, "Off")
        page.locator("#drag-off").press("ArrowRight")
        page.get_by_role("button", name="Add a point").press("Enter")
        for key in ("ArrowLeft", "Shift+ArrowUp"):
            page.keyboard.press(key)
        assert _label(page, "at").startswith("Point 1 at 31, 27")
        page.locator(".handle.to").focus()
        page.keyboard.press("ArrowDown")
        assert _label(page, "to").startswith("Where point 1 shall be: 32, 33")
        page.locator("#drag-points").press("ArrowRight")
        page.locator(".veil").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowLeft")
        page.locator("#drag-step").press("Enter")
        assert "--points 31,27:32,33 --mask mask-" in finished(page, "stylegan drag")
        page.get_by_role("button", name="Clear the mask").press("Enter")
        page.locator("#drag-brush").press("ArrowLeft")
        page.locator(".handle.at").press("Delete")
        assert page.locator(".handle").count() == 0
        page.locator("#panel").press("f")
        page.locator(".veil").wait_for(state="hidden")
        page.keyboard.press("Escape")
        page.locator(".veil").wait_for()


@pytest.mark.long
def test_by_touch(url: str, browser: Any) -> None:
    with visiting(browser, url, 375, 740, has_touch=True, is_mobile=True) as page:
        _open(page, "Points")
        page.touchscreen.tap(*_at(page, 26, 32))
        page.touchscreen.tap(*_at(page, 40, 50))
        assert page.locator(".handle.at").count() == 2
        page.get_by_role("button", name="Remove the point").tap()
        page.locator(".handle.to").focus()
        page.keyboard.press("Shift+ArrowLeft")
        page.locator("#drag-step").tap()
        assert "--points 26" in finished(page, "stylegan drag")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.long
def test_a_second_finger_paints_nothing(url: str, browser: Any) -> None:
    with visiting(browser, url, has_touch=True) as page:
        _open(page, "Brush")
        page.locator("#brush-size").fill("5")
        fingers = page.context.new_cdp_session(page)
        first, second = ([dict(zip("xy", _at(page, *place), strict=True)) for place in places] for places in _PATHS)
        for kind, i, hands in (("touchStart", 0, 1), ("touchStart", 0, 2), ("touchMove", 1, 2), ("touchEnd", 0, 0)):
            points = [{**each[i], "id": number} for number, each in enumerate((first, second)[:hands])]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        veiled = [page.evaluate(_ALPHA, place) for place in ([10, 20], [32, 20], [54, 20])]
        assert [each > 0 for each in veiled] == [False, True, True]


def test_layers_are_looked_into_and_bent(url: str, browser: Any) -> None:
    with visiting(browser, url) as page:
        finished(page, "stylegan draw")
        page.locator("#layers summary").first.click()
        page.locator(".channel").first.wait_for()
        page.select_option("#layer", "b16.conv1")
        page.locator("[aria-label='Channel 63']").wait_for()
        page.locator("[data-field='bend Turn'] input[type=number]").fill("25")
        finished(page, "--bend b16.conv1:turn=25.0 ")
        page.locator(".channel").nth(3).click()
        page.locator(".channel").nth(3).press("ArrowRight")
        page.keyboard.press("Space")
        finished(page, "--bend b16.conv1@3-4:turn=25.0 ")
        assert page.get_by_role("img", name="b16.conv1 bent").is_visible()
        page.get_by_role("button", name="Nothing bent").click()
        assert "--bend" not in finished(page, "--truncation 0.7 --out")
        page.keyboard.press("?")
        page.uncheck("#letters")
        page.keyboard.press("Escape")
        page.keyboard.press("]")
        page.reload()
        assert "--seeds 0 " in finished(page, "stylegan draw")
        page.keyboard.press("]")
        assert not page.is_checked("#letters")
        assert page.input_value("#seed") == "0"


@pytest.mark.long
def test_stylegan3_is_moved_and_turned(url: str, browser: Any) -> None:
    with visiting(browser, url, 800, 900) as page:
        page.select_option("#network", "sg3t_64.pkl")
        finished(page, "sg3t_64.pkl")
        page.locator("#place-grip").check()
        _stroke(page, (32, 32), (48, 40))
        assert "--translate 0.25,0.12" in finished(page, "--translate")
        page.keyboard.down("Shift")
        _stroke(page, (48, 32), (48, 16))
        page.keyboard.up("Shift")
        finished(page, "--rotate 4")
        page.get_by_role("button", name="Put back").click()
        assert "--translate" not in finished(page, "--truncation 0.7 --out")
