"""The explorer's page, as a visitor uses it, in a headless Chromium."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from PIL import Image

import checkpoints
import converter
from examples.faces.faces import draw_face, random_face
from stylegan_torch.commands.main import main
from stylegan_torch.editing import latents
from tests import DATA, TOOLS
from tests.tools.browser import browsing
from tests.tools.served import COMMAND, answer, serving

NETWORKS = ["--network", str(checkpoints.DEMO), "--network", str(DATA / "ada-cond.pkl")]
PICTURE = "#picture img"
WATCH = """
  window.lies = []; window.places = new Set();
  setInterval(() => {
    const $ = each => document.querySelector(each);
    const image = $('#picture img'), commands = $('#commands textarea'), results = $('#results');
    const parts = ['#download-png', '#download-npz', '#commands', '#history'].map($);
    if (!commands || parts.includes(null)) return;
    const out = commands.value.match(/--out ('.*?'|\\S+)/)?.[1].replaceAll("'", '');
    const shown = image?.complete && decodeURIComponent(image.src).endsWith('/' + out);
    if (parts.some(e => e.disabled === false) || out) if (!shown) lies.push([out, image?.src]);
    const top = results.getBoundingClientRect().top;
    if (image?.complete) places.add(parts.map(e => Math.round(e.getBoundingClientRect().top - top)).join());
  }, 5);
"""
"""Notes whenever a file or the command line on offer is not of the picture that is shown, and where things are."""


SLOW_FILES = """
import asyncio, sys, gradio
from gradio import processing_utils
from stylegan_torch.commands.main import main
move = processing_utils.async_move_files_to_cache
async def slow(data, block, *rest, **more):
    if isinstance(block, gradio.DownloadButton) and '.png' in str(data):
        await asyncio.sleep(0.3)
    return await move(data, block, *rest, **more)
processing_utils.async_move_files_to_cache = slow
main(sys.argv[1:])
"""
"""The command on a machine whose disk is slow when files are handed out."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore", *NETWORKS) as address:
        yield address


@pytest.fixture
def page(url: str) -> Iterator[Any]:
    with browsing(url, script=WATCH) as page:
        _finished(page, "--seeds 0 ")
        yield page
        assert page.evaluate("window.lies") == []
        assert page.evaluate("window.places.size") == 1


def _finished(page: Any, *words: str) -> str:
    """Wait until the command line has these words, and return it."""
    has_all = "words => words.every(w => document.querySelector('#commands textarea')?.value.includes(w))"
    page.wait_for_function(has_all, arg=list(words))
    return str(page.input_value("#commands textarea"))


def _changed(page: Any, before: str) -> None:
    page.wait_for_function(
        f"old => {{ const e = document.querySelector('{PICTURE}'); return e && e.complete && e.src !== old; }}",
        arg=before,
    )


def _source(page: Any) -> str:
    return str(page.get_attribute(PICTURE, "src"))


def _open(page: Any, name: str) -> None:
    page.click(f"#{name} button >> nth=0")


def _drag(page: Any, name: str, share: float) -> None:
    """Drag a slider from where it is by a share of its width, in steps as a hand does."""
    slider = page.locator(f"#{name} input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    low, high, value = (float(slider.evaluate(f"e => e.{each}")) for each in ("min", "max", "value"))
    x, y = box["x"] + box["width"] * (value - low) / (high - low), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + share * box["width"], y, steps=8)
    page.mouse.up()


def _recall(page: Any, index: int) -> None:
    """Click on a picture of the history, once the strip is there as a whole: it comes before the files are on."""
    page.wait_for_function(
        """!document.querySelector('#download-npz').disabled
        && [...document.querySelectorAll('#history img')].every(each => each.complete)"""
    )
    page.locator("#history .thumbnail-item").nth(index).click()


def _download(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"#{name}")
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def test_a_visit(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _source(page)
    page.fill("#seed input", "7")
    _changed(page, before)
    _finished(page, "--seeds 7 ")
    _open(page, "directions")
    before = _source(page)
    _drag(page, "direction-1", 0.3)
    _changed(page, before)
    command = _finished(page, "--seeds 7 ", "--move pca:1=")
    png, npz = _download(page, "download-png", tmp_path), _download(page, "download-npz", tmp_path)
    assert f"--out {png.name} --save-latents {npz.name}" in command
    assert png.stem.startswith("seed0007")
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    again = CliRunner().invoke(main, shlex.split(command)[1:])
    assert again.exit_code == 0, again.output
    with np.load(npz) as downloaded, np.load(npz.name) as drawn:
        assert all(np.array_equal(downloaded[name], drawn[name]) for name in downloaded.files)
    assert Image.open(png).tobytes() == Image.open(png.name).tobytes()


def _type_and_look(page: Any, field: str, value: str) -> bool:
    """Type into a field as fast as can be; returns whether all files and the command line are off then."""
    typed = """async ([field, value]) => {
      const input = document.querySelector(field);
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
      input.dispatchEvent(new Event('input', {bubbles: true}));
      await new Promise(done => setTimeout(done, 0));
      return document.querySelectorAll('[id^=download]:disabled').length == 2
        && !document.querySelector('#commands textarea').value;
    }"""
    return bool(page.evaluate(typed, [field, value]))


def test_a_seed_is_typed_and_downloaded_at_once(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page").mkdir()
    for seed in range(101, 111):
        if seed % 2:
            assert _type_and_look(page, "#seed input", str(seed))
        else:
            page.fill("#seed input", str(seed))
        png = _download(page, "download-png", tmp_path / "page")
        shown, command = requests.get(_source(page), timeout=600).content, page.input_value("#commands textarea")
        assert png.read_bytes() == shown
        assert png.name == f"seed{seed:04d}.png"
        npz = _download(page, "download-npz", tmp_path / "page")
        again = CliRunner().invoke(main, shlex.split(command)[1:])
        assert again.exit_code == 0, again.output
        assert Image.open(png).tobytes() == Image.open(png.name).tobytes()
        with np.load(npz) as downloaded, np.load(npz.name) as drawn:
            assert all(np.array_equal(downloaded[name], drawn[name]) for name in downloaded.files)


def test_files_that_come_late_are_not_beside_the_next_picture(tmp_path: Path) -> None:
    with serving(tmp_path, "-c", SLOW_FILES, "explore", *NETWORKS) as address, browsing(address, script=WATCH) as page:
        _finished(page, "--seeds 0 ")
        for seed in (1, 2):
            page.fill("#seed input", str(seed))
            shown = f"e => decodeURIComponent(document.querySelector('{PICTURE}')?.src).endsWith('seed000{seed}.png')"
            page.wait_for_function(shown)  # its files are on their way
            page.fill("#seed input", str(100 + seed))
            _finished(page, f"--seeds {100 + seed} ")
        assert page.evaluate("window.lies") == []


def test_odd_values_are_told_by_the_name_of_the_field(page: Any) -> None:
    page.fill("#seed input", "7")
    before = _finished(page, "--seeds 7 ")
    for value, said in (("3.7", "Seed: 3.7 is not a whole number"), ("-1", "Seed: -1 is not"), ("", "Seed is empty")):
        page.fill("#seed input", value)
        page.get_by_text(said).wait_for()
        assert _finished(page, "--seeds 7 ") == before
    page.fill("#seed input", "8")
    _finished(page, "--seeds 8 ")
    page.fill("#psi input[type=number]", "5")
    page.get_by_text("Truncation psi: 5 is not a number from -1 to 1.5").wait_for()
    page.press("#psi input[type=number]", "Tab")  # which puts it back into the range
    _finished(page, "--seeds 8 --truncation 1.5 ")
    assert page.inner_text("#status").strip() == ""
    _open(page, "directions")
    page.fill("#direction-9 input[type=number]", "77")
    page.get_by_text("Direction 9: 77 is not a number from -4 to 4").wait_for()


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (375, 667),
        (1400, 700),
        pytest.param(812, 375, marks=pytest.mark.long),
        pytest.param(800, 1000, marks=pytest.mark.long),
    ],
)
def test_the_picture_is_in_view_whatever_is_moved(url: str, width: int, height: int) -> None:
    with browsing(url, width, height) as page:
        _finished(page, "--seeds 0 ")
        for name in ("mix", "directions"):
            _open(page, name)
        for name in ("direction-9", "mix-last", "psi"):
            slider = page.locator(f"#{name} input[type=range]")
            slider.scroll_into_view_if_needed()
            page.wait_for_function(  # the accordions open slowly; nothing is above what is used
                """name => {
                  const slider = document.querySelector(`#${name} input[type=range]`);
                  const box = slider.getBoundingClientRect();
                  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === slider;
                }""",
                arg=name,
            )
            box = page.locator(PICTURE).bounding_box()
            seen = min(box["y"] + box["height"], height) - max(box["y"], 0)
            assert seen >= 0.9 * box["height"] > 0.3 * height
            before = _source(page)
            _drag(page, name, 0.1)
            _changed(page, before)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_mixing_noise_and_the_way_back(page: Any) -> None:
    _open(page, "mix")
    page.check("#mixing input")
    _finished(page, "--mix 1@0-4")
    _drag(page, "mix-last", 0.5)
    _finished(page, "--mix 1@0-9")
    page.fill("#seed input", "")
    page.fill("#seed input", "2")
    _finished(page, "--seeds 2 ", "--mix 1@0-9")
    page.click("#noise input")
    page.get_by_role("option", name="none").click()
    _finished(page, "--mix 1@0-9", "--noise none")
    _drag(page, "psi", -0.2)
    _finished(page, "--noise none", "--truncation 0.2")
    assert page.locator("#history .thumbnail-item").count() == 6
    _recall(page, 1)
    command = _finished(page, "--mix 1@0-4", "--truncation 0.7")
    assert "--noise" not in command
    assert page.input_value("#noise input") == "official"
    _recall(page, 0)
    _finished(page, "--seeds 0 --truncation 0.7 --out")
    assert not page.is_checked("#mixing input")


def test_another_network_has_other_controls(page: Any) -> None:
    assert not page.is_visible("#class")
    page.click("#network input")
    page.get_by_role("option", name="ada-cond.pkl").click()
    _finished(page, "ada-cond.pkl", "--seeds 0 ")
    page.click("#class input")
    page.get_by_role("option", name="2").click()
    _finished(page, "ada-cond.pkl", "--class 2")
    _open(page, "mix")
    page.check("#mixing input")
    _finished(page, "ada-cond.pkl", "--class 2", "--mix 1@0-2")
    _recall(page, 0)
    _finished(page, "faces.pkl", "--seeds 0 ")
    page.wait_for_selector("#class", state="hidden")
    page.check("#mixing input")
    _finished(page, "faces.pkl", "--mix 1@0-4")
    _drag(page, "mix-last", 0.9)
    _finished(page, "faces.pkl", "--mix 1@0-9")
    _recall(page, 3)
    _finished(page, "ada-cond.pkl", "--class 2", "--mix 1@0-2")
    _recall(page, 5)
    _finished(page, "faces.pkl", "--mix 1@0-9")


def test_a_photograph_is_projected_and_moved(page: Any, tmp_path: Path) -> None:
    Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 40).save(tmp_path / "my photo.png")
    _open(page, "photo")
    page.set_input_files("#photo-file input", tmp_path / "my photo.png")
    page.get_by_text("my photo").first.wait_for()
    page.fill("#steps input", "12")
    page.click("#project")
    page.get_by_text("90×60 pixels, cut to the middle, resized to 64×64; projected at a PSNR of").wait_for()
    command = _finished(page, "stylegan project 'my photo.png'", "--latents 'out/my photo.npz'")
    assert "--space w+ --fit crop --steps 12 --outdir out" in command
    _open(page, "directions")
    _drag(page, "direction-0", 0.2)
    _finished(page, "stylegan project", "--move pca:0=")


@pytest.mark.long
def test_a_face_is_aligned_before_it_is_projected(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    draw_face(random_face(1)).resize((256, 256), Image.Resampling.BICUBIC).save(tmp_path / "face.png")
    _open(page, "photo")
    page.set_input_files("#photo-file input", tmp_path / "face.png")
    page.get_by_text("face.png").first.wait_for()
    page.get_by_label("Fit").click()
    page.get_by_role("option", name="align").click()
    page.fill("#steps input", "3")
    page.click("#project")
    page.get_by_text("256×256 pixels, its face aligned; projected at a PSNR of").wait_for()
    command = _finished(page, "stylegan project face.png", "--latents out/face.npz")
    assert "--space w+ --align --face largest --steps 3 --outdir out" in command


def test_a_projection_can_be_stopped(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    _open(page, "photo")
    page.set_input_files("#photo-file input", tmp_path / "red.png")
    page.get_by_text("red").first.wait_for()
    page.fill("#steps input", "2000")
    page.click("#project")
    page.get_by_text("of 2000").wait_for()
    assert page.is_disabled("#download-png")
    page.fill("#seed input", "9")  # meanwhile
    assert "--latents" not in _finished(page, "--seeds 9 ")
    step = page.get_by_text("of 2000").inner_text()
    page.wait_for_function("step => !document.body.innerText.includes(step)", arg=step)
    page.click("#stop")
    page.get_by_text("Stopped.").wait_for()
    page.fill("#seed input", "6")
    assert "--latents" not in _finished(page, "--seeds 6 ")
    page.fill("#steps input", "1")  # nothing holds it up
    page.click("#project")
    page.get_by_text("projected at a PSNR of").wait_for()


def test_latents_are_taken_up(page: Any, tmp_path: Path) -> None:
    G = converter.load(checkpoints.DEMO).network("G_ema")
    latents.save(tmp_path / "two.npz", latents.from_seeds(G, [4, 5], 0.5))
    _open(page, "photo")
    page.set_input_files("#latents-file input", tmp_path / "two.npz")
    _finished(page, "--latents two.npz --row 0")
    page.fill("#row input", "1")
    _finished(page, "--latents two.npz --row 1")


def test_what_cannot_be_used_is_said(page: Any, tmp_path: Path) -> None:
    _open(page, "photo")
    page.click("#project")
    page.get_by_text("upload a photograph first").wait_for()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    page.set_input_files("#photo-file input", tmp_path / "broken.png")
    page.get_by_text("broken").first.wait_for()
    page.click("#project")
    page.get_by_text("broken.png is broken, or not a picture", exact=True).wait_for()
    (tmp_path / "w.npz").write_bytes(b"nothing")
    page.set_input_files("#latents-file input", tmp_path / "w.npz")
    page.get_by_text("w.npz is damaged, or not a file of latents (.npz)", exact=True).wait_for()
    page.fill("#seed input", "3")
    _finished(page, "--seeds 3 ")


def test_leaving_at_the_last_step_of_a_projection(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    program = TOOLS / "leave_while_projecting.py"
    command = [sys.executable, str(program), str(DATA / "sg2-skip.pkl"), str(tmp_path / "red.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "left\n", done.stderr


@pytest.mark.parametrize("path", ["/etc/passwd", "http://192.0.2.1/w.npz", str(DATA / "sg1.pkl")])
def test_only_uploads_are_read(url: str, path: str) -> None:
    told = answer(url, "_bring", ["faces.pkl", {"path": path, "meta": {"_type": "gradio.FileData"}}])
    assert "'success': False" in told
    assert "root:" not in told


_ODD: dict[str, list[Any]] = {
    "Network": ["no.pkl", None, 3, []],
    "Seed": [-1, 1 << 40, 1.5, float("nan"), "abc", True, None, [], {}, 10**400],
    "Truncation psi": [1e9, float("nan"), float("inf"), "x", None],
    "Class": [99, -7, 0.5, "x", [1]],
    "Noise": ["loud", 3, None, ["none"]],
    "Noise seed": [-1, "x", None],
    "Its seed": [-1, "x", None],
    "To layer": [99, -1, 1.5, "x", None],
    "Layers": ["0-99", "x", "x" * 100_000, 3],
    "Direction 3": [1e9, float("nan"), "x", None],
    "Begin with": ["latents", "x", None],
}
_BESIDE: dict[str, dict[str, Any]] = {"Class": {"Network": "ada-cond.pkl"}, "Noise seed": {"Noise": "random"}}


def test_whatever_is_sent_is_told_by_the_name_of_the_field(url: str) -> None:
    config = requests.get(f"{url}config", timeout=600).json()
    fields = {each["id"]: each["props"] for each in config["components"]}
    inputs = next(each["inputs"] for each in config["dependencies"] if each["api_name"] == "_glimpse")
    usual = {fields[i]["label"]: fields[i]["value"] for i in inputs}
    for name, values in _ODD.items():
        for value in values:
            sent = usual | {"Take styles from another seed": True} | _BESIDE.get(name, {}) | {name: value}
            told = answer(url, "_glimpse", list(sent.values()))
            assert re.search(rf"{name}( is empty)?: ", told), (name, value, told)
            assert len(told) < 1000


def test_whatever_else_is_sent_prints_no_traceback(url: str) -> None:
    for handler in ("_glimpse", "_choose_network", "_show_kind", "_project", "_bring"):
        assert "didn't receive enough input values" in answer(url, handler, [])
    for event in ({}, {"index": 0, "value": {}}, {"index": 0, "value": {"image": {"path": "x"}}}):
        answer(url, "_recall", [], event_data=event)
    call = {"data": [], "fn_index": 9999, "session_hash": "x"}
    assert requests.post(f"{url}gradio_api/queue/join", json=call, timeout=600).text.startswith("unexpected ")
    # The fixture `url` sees what was printed.
