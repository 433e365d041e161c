"""The explorer's page, as a visitor uses it, in a headless Chromium."""

from __future__ import annotations

import json
import os
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
from browser import browsing
from click.testing import CliRunner
from PIL import Image

import checkpoints
import converter
from stylegan_torch.editing import latents
from stylegan_torch.group import main

DATA = Path(__file__).parent / "data"
NETWORKS = ["--network", str(checkpoints.DEMO), "--network", str(DATA / "ada-cond.pkl")]
PICTURE = "#picture img"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    files = tmp_path_factory.mktemp("files")
    command = [sys.executable, "-m", "stylegan_torch.group", "explore", *NETWORKS]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": str(files)}
    )
    assert server.stdout is not None
    said = server.stdout.readline()
    found = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends\)\n", said)
    assert found, said + server.stdout.read()
    yield found[1]
    server.terminate()
    rest = server.communicate(timeout=60)[0]
    assert "stylegan_torch" not in rest, rest  # in a traceback
    assert not list(files.glob("stylegan-explore-*"))  # of visitors, who may not have left


@pytest.fixture
def page(url: str) -> Iterator[Any]:
    with browsing(url) as page:
        _finished(page, "--seeds 0 ")
        yield page


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
    """Click on a picture of the history, once the strip is there as a whole."""
    page.wait_for_function("[...document.querySelectorAll('#history img')].every(each => each.complete)")
    page.wait_for_timeout(500)  # the strip is made anew for each picture, and a click on the old one is lost
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
    page.wait_for_function("!document.querySelector('#commands textarea').value.includes('--mix')")
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


def test_a_projection_can_be_stopped(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    _open(page, "photo")
    page.set_input_files("#photo-file input", tmp_path / "red.png")
    page.get_by_text("red").first.wait_for()
    page.fill("#steps input", "2000")
    page.click("#project")
    page.get_by_text("of 2000").wait_for()
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
    program = Path(__file__).with_name("leave_while_projecting.py")
    command = [sys.executable, str(program), str(DATA / "sg2-skip.pkl"), str(tmp_path / "red.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "left\n", done.stderr


@pytest.mark.parametrize("path", ["/etc/passwd", "http://192.0.2.1/w.npz", str(DATA / "sg1.pkl")])
def test_only_uploads_are_read(url: str, path: str) -> None:
    with requests.Session() as session:
        config = session.get(f"{url}config", timeout=60).json()
        [bring] = [each["id"] for each in config["dependencies"] if each["api_name"] == "_bring"]
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        call = {"data": ["faces.pkl", file], "fn_index": bring, "session_hash": f"stranger{len(path)}"}
        answer = session.post(f"{url}gradio_api/queue/join", json=call, timeout=60)
        said = answer.text
        if answer.ok:
            events = session.get(
                f"{url}gradio_api/queue/data", params={"session_hash": call["session_hash"]}, stream=True, timeout=60
            )
            lines = (json.loads(line[6:]) for line in events.iter_lines() if line.startswith(b"data: "))
            last = next(each for each in lines if each["msg"] == "process_completed")
            assert last["success"] is False
            said = str(last)
            events.close()
        assert "root:" not in said
