"""What the explorer's page does as time goes by, in a headless Chromium: films, recordings, and what is live."""

from __future__ import annotations

import json
import socket
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import checkpoints
import converter
from stylegan_torch.files import checkpoint
from tests.editing.test_blending import changed
from tests.explorer.test_live import message
from tests.tools.browser import downloaded, visiting
from tests.tools.served import COMMAND, serving


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def url(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for needed in ("websockets", "pythonosc"):
        pytest.importorskip(needed)
    toons = tmp_path_factory.mktemp("networks") / "toons.pt"
    checkpoint.write(toons, changed(converter.load(checkpoints.DEMO)))
    options = ["--network", str(checkpoints.DEMO), "--network", str(toons), "--osc", str(port)]
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore", *options) as address:
        yield address


@pytest.fixture
def page(url: str, browser: Any) -> Iterator[Any]:
    with visiting(browser, url, expected="status of 400") as page:
        _settled(page, 0)
        yield page


def _settled(page: Any, seed: int) -> None:
    """Wait until the page shows a seed and offers its files."""
    page.locator("#commands", has_text=f"--seeds {seed} ").wait_for(state="attached")
    page.locator("#download-png:not([disabled])").wait_for()


def test_key_frames_become_a_film(page: Any, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        page.fill("#seed", str(seed))
        _settled(page, seed)
        page.locator("#panel").press("k")
    page.get_by_role("button", name="Move back key frame 3").click()
    page.get_by_role("button", name="Remove key frame 3").click()
    page.get_by_label("Seconds from key frame 1 to the next").fill("0.2")
    page.get_by_label("Seconds from key frame 2 to the next").fill("0.3")
    page.click("#record")
    page.locator("#panel").press("p")
    page.get_by_role("img", name="A moment of the film").wait_for()
    page.click("#record")
    states = downloaded(page, page.get_by_role("button", name="Download the states of recording-1"), tmp_path)
    assert len(json.loads(states.read_text())["films"]) == 1
    assert page.locator("#download-png").is_disabled()
    page.get_by_role("button", name="Go to key frame 2, the picture of seed 2, truncation 0.7").click()
    _settled(page, 2)
    assert page.get_by_role("button", name="Play", exact=True).is_visible()
    page.select_option("#film-format", ".gif")
    page.fill("#film-fps", "60")
    page.click("#film-make")
    page.locator("#status", has_text="Frames a second: 60 is not what a GIF can have").wait_for()
    page.fill("#film-fps", "10")
    film = downloaded(page, page.locator("#film-make"), tmp_path)
    with Image.open(film) as opened:
        assert opened.n_frames == 5  # type: ignore[attr-defined]
    said = page.locator("#film-commands").text_content().splitlines()
    assert ["--seeds 0" in said[0], "--seeds 2" in said[1]] == [True, True]
    assert said[2].endswith(f".npz --seconds 0.5 --fps 10 --out {film.name}")
    page.select_option("#film-format", "recorded")
    assert downloaded(page, page.locator("#film-make"), tmp_path).read_bytes().startswith(b"\x1aE\xdf\xa3")  # EBML
    _settled(page, 2)
    page.reload()
    _settled(page, 2)
    assert page.locator(".key").count() == 2


def test_what_one_does_is_recorded(page: Any, tmp_path: Path) -> None:
    page.click("#record")
    assert page.locator("#record").get_attribute("aria-pressed") == "true"
    for seed in (5, 6):
        page.fill("#seed", str(seed))
        _settled(page, seed)
    page.click("#record")
    page.locator("#status", has_text="recording-1: ").wait_for()
    film = downloaded(page, page.get_by_role("button", name="Download the film of recording-1"), tmp_path)
    assert film.read_bytes().startswith(b"\x1aE\xdf\xa3")
    states = downloaded(page, page.get_by_role("button", name="Download the states of recording-1"), tmp_path)
    said = json.loads(states.read_text())
    assert [each["state"] for each in said["shown"]] == [{}, {"seed": 5}, {"seed": 6}]
    assert [each["at"] for each in said["shown"]] == sorted(each["at"] for each in said["shown"])
    page.get_by_role("button", name="Remove recording-1").click()
    page.fill("#seed", "1")
    _settled(page, 1)
    loop = {"keys": [{"state": {"seed": 2}, "seconds": 1}], "easing": "linear"}
    shown = [{"at": 0, "film": 0, "turn": 0.5}, {"at": 0.1, "state": {"seed": 4}}]
    said = {"stylegan-torch": "recording", "seconds": 0.2, "films": [loop], "shown": shown}
    (tmp_path / "walk.json").write_text(json.dumps(said))
    page.set_input_files("#take-file", tmp_path / "walk.json")
    _settled(page, 4)
    page.get_by_role("button", name="Replay walk").wait_for()
    wrongs: list[dict[str, object]] = [{"film": 7, "turn": 0}, {"film": "length", "turn": 0}, {"state": "x"}]
    for i, wrong in enumerate(wrongs):
        (tmp_path / f"other{i}.json").write_text(json.dumps({**said, "shown": [{"at": 0, **wrong}]}))
        page.set_input_files("#take-file", tmp_path / f"other{i}.json")
        page.locator("#status", has_text=f"other{i}.json is no recording from here.").wait_for()


@pytest.mark.long  # test_blends.py stands for it
def test_two_networks_are_blended(page: Any) -> None:
    page.select_option("#blend-with", "toons.pt")
    _line(page, "--at 32 --out faces-toons-32-")
    page.locator("#blend-at").press("ArrowLeft")
    page.get_by_label("softly").check()
    _line(page, "--at 16 --soft --out")
    page.reload()
    _line(page, "--at 16 --soft --out")
    assert page.get_by_label("softly").is_checked()
    page.select_option("#blend-with", "")
    _settled(page, 0)
    assert "blend" not in page.locator("#commands").text_content()
    assert not page.locator("#blend-at").is_visible()


def _line(page: Any, *words: str) -> None:
    for word in words:
        page.locator("#commands", has_text=word).wait_for(state="attached")


def _send(port: int, **controls: object) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for name, value in controls.items():
            sender.sendto(message(f"/{name.replace('__', '/')}", value), ("127.0.0.1", port))


def test_messages_move_every_control(url: str, port: int, browser: Any) -> None:
    with visiting(browser, url) as page:
        _settled(page, 0)
        _send(port, seed=7.2, psi=0.5, psi__2=0.9, pca__1=-2, mix__0=4, noise_seed=3, sefa__99=1, do__key=1)
        _line(page, "--seeds 7 --truncation 0.5 --truncation 0.9@2 --mix 4@0-4 --move pca:1=-2.0 ", "--noise-seed 3 ")
        page.locator(".key").wait_for(state="attached")
        _send(port, noise="none", psi=99)
        _line(page, "--truncation 1.5 ", "--noise none ")
        page.locator("#live summary").click()
        page.get_by_label("OSC at 127.0.0.1").uncheck()
        _send(port, seed=9)
        page.locator("#osc-said", has_text="seed 9").wait_for()
        assert page.input_value("#seed") == "7"


_REMEMBERED = """async () => {
  const { key } = await (await fetch('about')).json();
  localStorage.setItem(`studio-live-${key}`, JSON.stringify({ low: ['gone.npz', 0, 2], high: ['pca', 9999, 2] }));
}"""
"""As if there had been other directions once."""


def test_it_wanders_and_follows_a_sound(url: str, browser: Any, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "drum.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        times = np.arange(8000) / 8000
        loud = np.sin(2 * np.pi * 110 * times) * (times % 0.5 < 0.1)
        file.writeframes((loud * 30000).astype("<i2").tobytes())
    with visiting(browser, url, permissions=["microphone"]) as page:
        _settled(page, 0)
        page.evaluate(_REMEMBERED)
        page.reload()
        _settled(page, 0)
        page.locator("#live summary").click()
        page.fill("[data-field=Wander] input[type=number]", "1")
        page.wait_for_function("() => document.querySelector('.dot').style.getPropertyValue('--x') > '55%'")
        page.fill("[data-field=Wander] input[type=number]", "0")
        _line(page, "--move pca:0=")
        page.get_by_role("button", name="All to zero").click()
        page.set_input_files("#sound-file", tmp_path / "drum.wav")
        page.get_by_label("new noise at every beat").check()
        page.wait_for_function("() => document.querySelector('[aria-label=\"How loud: Low\"]').value > 0.3")
        page.wait_for_function("() => document.querySelector('#noise-seed').value > 0")
        page.select_option("#sound", "off")
        _line(page, "--noise random ")
        (tmp_path / "no.wav").write_bytes(b"x")
        page.set_input_files("#sound-file", tmp_path / "no.wav")
        page.locator("#status", has_text="no.wav is no sound that this browser plays").wait_for()
        page.select_option("#sound", "microphone")
        page.wait_for_function("() => document.querySelector('[aria-label=\"How loud: all\"]').value > 0.02")
        page.select_option("#sound", "off")


def test_nothing_but_the_picture(url: str, browser: Any) -> None:
    with visiting(browser, url) as page:
        _settled(page, 0)
        page.click("#full")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth >= innerWidth")
        page.keyboard.press("]")
        _line(page, "--seeds 1 ")
        page.keyboard.press("Escape")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth < innerWidth")
        page.evaluate("Element.prototype.requestFullscreen = undefined")
        page.keyboard.press("f")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth >= innerWidth")
        page.locator("#picture").click()
        page.wait_for_function("() => document.querySelector('#picture').clientWidth < innerWidth")
