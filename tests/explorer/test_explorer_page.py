"""The explorer's page, as a visitor uses it, in a headless Chromium; and its server, as others may ask it."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import checkpoints
from examples.faces.faces import draw_face, random_face
from stylegan_torch.commands.main import main
from tests import DATA, HOME
from tests.tools.browser import downloaded, finished, visiting
from tests.tools.other_browsers import Driven, firefox, shown, webkit
from tests.tools.served import COMMAND, serving

NETWORKS = ["--network", str(checkpoints.DEMO), "--network", str(DATA / "ada-cond.pkl")]
SIZES = [(1300, 900), (800, 900), (375, 740)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("websockets")
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore", *NETWORKS) as address:
        yield address


@pytest.fixture
def page(url: str, browser: Any) -> Iterator[Any]:
    with visiting(browser, url, expected="status of 400") as page:
        finished(page)
        yield page


def _with(url: str, state: object) -> str:
    return f"{url}#{quote(json.dumps(state))}"


def _drag(page: Any, place: Any, across: float, up: float = 0.0) -> None:
    """Drag from the middle of an element by shares of its size, in steps as a hand does."""
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across * box["width"], y - up * box["height"], steps=8)
    page.mouse.up()


def test_a_visit(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.fill("#seed", "7")
    finished(page, "--seeds 7 ")
    _drag(page, page.locator("[data-field='Direction pca 1'] input[type=range]"), 0.2)
    page.click(".direction >> nth=2 >> button >> nth=0")
    command = finished(page, "--seeds 7 ", "--move pca:1=", "--move pca:2=-1.0")
    png, npz = (
        downloaded(page, page.locator("#download-png"), tmp_path),
        downloaded(page, page.locator("#download-npz"), tmp_path),
    )
    assert f"--out {png.name} --save-latents {npz.name}" in command
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    again = CliRunner().invoke(main, shlex.split(command)[1:])
    assert again.exit_code == 0, again.output
    assert Image.open(png).tobytes() == Image.open(png.name).tobytes()
    with np.load(npz) as kept, np.load(npz.name) as drawn:
        assert all(np.array_equal(kept[name], drawn[name]) for name in kept.files)
    page.locator("#undo").click()
    finished(page, "--truncation 0.7 --out")
    page.locator("#redo").click()
    assert finished(page, "pca:2=") == command
    page.reload()
    assert finished(page) == command
    page.fill("#seed", "8")
    finished(page, "--seeds 8 ")
    page.evaluate("hash => { location.hash = hash; }", quote(json.dumps({"seed": 9})))
    finished(page, "--seeds 9 ")
    assert page.input_value("#seed") == "9"
    page.locator(".history button").nth(2).click()
    assert finished(page, "--seeds 7 ") == command


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_is_always_in_view(url: str, browser: Any, width: int, height: int) -> None:
    with visiting(browser, url, width, height) as page:
        finished(page)
        for part in ("pad", "directions", "truncation", "mixing", "history", "again"):
            page.locator(f"#{part}").scroll_into_view_if_needed()
            box = page.locator("#picture").bounding_box()
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
            assert min(box["width"], box["height"]) > 150
            middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", middle) == "picture"
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.long
@pytest.mark.parametrize("start", [firefox, webkit])
def test_a_password_opens_the_page_in_other_browsers(
    start: Callable[[], AbstractContextManager[Driven]], tmp_path: Path
) -> None:
    pytest.importorskip("websockets")
    with start() as browser, serving(tmp_path, *COMMAND, "explore", "--auth", "me:word") as url:
        browser.open(url.replace("//", "//me:word@"))
        shown(browser, "--seeds 0 ")


def test_every_control_changes_the_picture(page: Any) -> None:
    page.locator(".seed").nth(3).click()
    command = finished(page, "--seeds 3 ")
    _drag(page, page.locator(".pad"), 0.25, 0.25)
    command = finished(page, "--move pca:0=", "--move pca:1=")
    page.get_by_role("button", name="All to zero").click()
    finished(page, "--truncation 0.7 --out")
    page.fill("[data-field='Truncation'] input[type=number]", "0.5")
    finished(page, "--truncation 0.5 ")
    page.get_by_text("Layer by layer").click()
    page.locator(".band").nth(2).focus()
    page.keyboard.press("ArrowUp")
    finished(page, "--truncation 0.55@2 ")
    page.get_by_role("button", name="All alike").click()
    page.locator(".seed").nth(8).hover()
    page.get_by_role("button", name="Mix seed 8 in").click()
    finished(page, "--mix 8@0-4 ")
    page.locator(".mix-row .cell").nth(0).click()
    page.locator(".mix-row .cell").nth(1).press("Space")
    finished(page, "--mix 8@2-4 ")
    page.get_by_role("button", name="Remove mix 1").click()
    page.locator("#noise summary").click()
    page.get_by_text("By a seed").click()
    page.fill("#noise-seed", "4")
    command = finished(page, "--noise random --noise-seed 4 ")
    assert "--mix" not in command
    page.select_option("#network", "ada-cond.pkl")
    assert "--noise random" in finished(page, "ada-cond.pkl")
    page.select_option("#class", "1")
    finished(page, "--class 1 ")


def test_by_keyboard_alone(page: Any) -> None:
    page.keyboard.press("]")
    finished(page, "--seeds 1 ")
    page.locator(".seed[aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    finished(page, "--seeds 2 ")
    page.keyboard.press("m")
    finished(page, "--mix 2@")
    page.locator(".pad").focus()
    page.keyboard.press("Shift+ArrowUp")
    finished(page, "--move pca:1=1.0 ")
    page.keyboard.press("a")
    assert page.locator("#compare").get_attribute("aria-pressed") == "true"
    assert page.locator("#divider").is_visible()
    page.keyboard.press("Control+z")
    assert "--move" not in finished(page, "--mix 2@0-4 --out")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_by_touch(url: str, browser: Any) -> None:
    with visiting(browser, url, 375, 740, has_touch=True, is_mobile=True) as page:
        finished(page)
        page.locator(".seed").nth(3).tap()
        finished(page, "--seeds 3 ")
        page.get_by_role("button", name="Mix seed 4 in").tap()
        finished(page, "--mix 4@0-4 ")
        page.locator(".pad").scroll_into_view_if_needed()
        page.locator(".pad").tap(position={"x": 200, "y": 220})
        finished(page, "--move pca:0=", "--move pca:1=-")


def test_all_that_can_be_used_has_a_name(page: Any) -> None:
    nameless = """() => {
      const all = [...document.querySelectorAll('button, input, select, [role=option], [tabindex]:not(#panel)')];
      return all.filter((each) => {
        const labels = [...(each.labels ?? [])].map((label) => label.textContent).join('');
        return !(each.ariaLabel || each.getAttribute('aria-label') || labels || each.textContent.trim());
      }).map((each) => each.outerHTML);
    }"""
    assert page.evaluate(nameless) == []
    assert page.get_by_role("img", name="Picture of seed 0, truncation 0.7").is_visible()
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_odd_values_are_told_by_the_name_of_the_field(page: Any) -> None:
    page.fill("#seed", "7")
    before = finished(page, "--seeds 7 ")
    for value, said in (("3.7", "Seed: 3.7 is not a whole number"), ("-1", "Seed: -1 is not"), ("", "Seed is empty")):
        page.fill("#seed", value)
        page.locator("#status", has_text=said).wait_for()
        assert page.locator("#seed").get_attribute("aria-invalid") == "true"
        assert page.locator("#download-png").is_disabled()
    page.fill("#seed", "7")
    assert finished(page, "--seeds 7 ") == before
    assert page.locator("#seed").get_attribute("aria-invalid") is None
    assert page.locator("#status").text_content() == ""


def test_a_picture_and_latents_bring_back_what_they_are(page: Any, tmp_path: Path) -> None:
    page.fill("#seed", "12")
    finished(page, "--seeds 12 ")
    png, npz = (
        downloaded(page, page.locator("#download-png"), tmp_path),
        downloaded(page, page.locator("#download-npz"), tmp_path),
    )
    drop = """async ([name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name));
      window.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, cancelable: true}));
    }"""
    page.fill("#seed", "1")
    finished(page, "--seeds 1 ")
    page.evaluate(drop, [png.name, list(png.read_bytes())])
    finished(page, "--seeds 12 ")
    page.evaluate(drop, [npz.name, list(npz.read_bytes())])
    finished(page, f"--latents {npz.name} ")
    page.evaluate(drop, ["x.png", [1, 2, 3]])
    page.locator("#status", has_text="x.png does not say how it was made").wait_for()
    page.click("#project")
    page.locator("#status", has_text="the photograph is broken, or not a picture").wait_for()


def test_a_photograph_is_projected(page: Any, tmp_path: Path) -> None:
    draw_face(random_face(1)).resize((96, 96)).save(tmp_path / "-me.png")
    page.locator("#photograph summary").click()
    page.set_input_files("#photograph-file", tmp_path / "-me.png")
    page.fill("#steps", "0")
    page.click("#project")
    page.locator("#status", has_text="Steps: 0 is not a whole number from 1 to 2000").wait_for()
    page.fill("#steps", "2000")
    page.click("#project")
    page.locator("#progress", has_text="Step").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#projection", has_text="Stopped.").wait_for()
    page.fill("#steps", "2")
    page.click("#project")
    page.locator("#projection", has_text="96×96 pixels, resized to 64×64; projected at a PSNR of").wait_for()
    command = finished(page, "--latents out/-me.npz ")
    assert command.startswith("stylegan project ./-me.png --network")
    assert "--space w+ --fit crop --steps 2 --outdir out\nstylegan draw" in command


@pytest.mark.parametrize(
    "state",
    [
        {"moves": 3, "mixes": [1], "psis": None},
        *(pytest.param(each, marks=pytest.mark.long) for each in (7, "x", {"psis": [{"layers": "coarse"}]})),
    ],
)
def test_an_address_that_says_nothing_usable(url: str, browser: Any, state: object) -> None:
    with visiting(browser, _with(url, state), prefix=url) as page:
        finished(page, "--seeds 0 ")


@pytest.mark.long
def test_more_than_the_server_takes_at_once_is_asked_for_bit_by_bit(url: str, browser: Any) -> None:
    moves = [{"directions": kind, "index": i, "strength": 0.1} for kind in ("pca", "sefa") for i in range(30)]
    counted = """window.sockets = 0;
    WebSocket = class extends WebSocket { constructor(...all) { super(...all); sockets += 1; } };"""
    with visiting(browser, _with(url, {"seed": 7, "moves": moves}), prefix=url, script=counted) as page:
        finished(page, "--seeds 7 ")
        for _ in range(3):
            page.get_by_role("button", name="Show more").click()
        page.locator("img.waiting").first.wait_for(state="detached")
        assert page.locator(".direction img").count() > 64
        assert page.evaluate("sockets") == 1


def test_what_is_no_state_changes_nothing(page: Any) -> None:
    paste = """text => {
      const data = new DataTransfer();
      data.setData('text', text);
      window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
    }"""
    page.fill("#seed", "7")
    finished(page, "--seeds 7 ")
    address = page.url
    page.locator("#skip").press("Enter")
    assert page.evaluate("document.activeElement.id") == "panel"
    for text in ("", "7", "[]", '{"name": "x"}', "https://example.org/#panel"):
        page.evaluate(paste, text)
    assert (page.input_value("#seed"), page.url) == ("7", address)
    page.evaluate("new Promise((done) => { addEventListener('hashchange', done); location.hash = 'panel'; })")
    assert page.input_value("#seed") == "7"
    page.evaluate(paste, '{"seed": 8}')
    finished(page, "--seeds 8 ")


def test_a_network_that_is_not_there_gives_way_to_the_first(url: str, browser: Any) -> None:
    address = _with(url, {"network": "gone", "seed": 7})
    with visiting(browser, address, prefix=url, expected="status of 400") as page:
        page.locator("#status", has_text="'gone' is not one of").wait_for()
        assert "demo" in finished(page, "--seeds 7 ")


def test_a_network_is_asked_for_again_when_nothing_was_answered(url: str, browser: Any) -> None:
    once = "const ask = fetch; window.fetch = () => { window.fetch = ask; return Promise.reject(new TypeError()); };"
    with visiting(browser, _with(url, {"network": "ada-cond.pkl"}), prefix=url, script=once) as page:
        assert "ada-cond.pkl" in finished(page)


def test_the_package_has_the_page() -> None:
    with (HOME / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["stylegan_torch.explorer"]
    folder = HOME / "stylegan_torch" / "explorer"
    packed = {path for pattern in patterns for path in folder.glob(pattern)}
    assert packed == {path for path in (folder / "page").rglob("*") if path.is_file()}
