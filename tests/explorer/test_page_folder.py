"""The page as a folder, whose pictures the browser draws: on a static host, in a headless Chromium."""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.torch_version import TorchVersion

import checkpoints
import converter
from converter.forms.graph import parts, write
from converter.sources import download
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.editing.films.keys import EASINGS
from stylegan_torch.editing.films.trajectories import noise_arcs, schedule, spline
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import runtime
from stylegan_torch.explorer.folder import PAGE, write_folder
from stylegan_torch.explorer.runtime import VERSION, WASM, WEBGPU, RuntimeFilesError, runtime_files
from tests import DATA
from tests.tools.browser import downloaded, finished, visiting
from tests.tools.other_browsers import Driven, firefox, shown, webkit
from tests.tools.static import hosting

SEEDS = range(4)
STATE = {
    "seed": 7,
    "psi": 0.6,
    "psis": [{"layers": "0-1", "psi": 0.3}],
    "mixes": [{"seed": 8, "layers": "coarse"}, {"seed": 9, "layers": "5"}],
    "moves": [{"directions": "sefa", "index": 3, "strength": -1.5, "layers": "2-6"}],
    "noise": "random",
    "noise_seed": 11,
}


def _need_runtime() -> None:
    try:
        runtime_files()
    except RuntimeFilesError as error:
        if os.environ.get("STYLEGAN_TORCH_NEEDS_BROWSER"):
            raise
        pytest.skip(str(error))


@contextmanager
def _page(folder: Path, network: Path, *options: str) -> Iterator[str]:
    """Give the address of the page of a network."""
    pytest.importorskip("onnxscript")
    _need_runtime()
    written = CliRunner().invoke(main, ["page", str(network), str(folder), *options])
    assert written.exit_code == 0, written.output
    with hosting(folder) as url:
        yield url


def _compares_pictures(page: Any) -> None:
    """Try what a card's pictures are tried by, on the processor."""
    script = """async () => {
      const { Drawer, Loader } = await import('./page/engines/drawer.js');
      const base = new URL('.', document.baseURI);
      const about = { ...await (await fetch('network.json')).json(), runtime: [] };
      const loader = new Loader(new URL('network/', base), about.bytes, () => {});
      const [tables, maps] = [await loader.tables('tables.safetensors'), await loader.tables('noise.safetensors')];
      const [mapping, synthesis] = [await loader.bytes('mapping.onnx'), await loader.bytes('synthesis.onnx')];
      const drawer = await Drawer.open(about, base, { mapping, synthesis });
      const noise = about.noise.map((_, i) => maps[`noise${i}`].values);
      const check = tables.check.values;
      const other = check.with(5, (check[5] + 128) % 256);
      return [await drawer.drawsAlike(check, noise), await drawer.drawsAlike(other, noise)];
    }"""
    assert page.evaluate(script) == [True, False]


def _draws_as_pytorch_does(page: Any, network: Path, folder: Path, class_index: int | None = None) -> None:
    """Compare the pictures of `SEEDS`."""
    G = converter.load(network).network("G_ema")
    for seed, ours in draw(G, SEEDS, DrawSettings(0.7, class_index=class_index)):
        page.fill("#seed", str(seed))
        finished(page, f"--seeds {seed} ")
        theirs = np.asarray(Image.open(downloaded(page, page.locator("#download-png"), folder)))
        assert np.abs(theirs.reshape(ours.shape).astype(int) - ours).max() <= 1


def _goes_to(page: Any, state: object, *words: str) -> str:
    page.evaluate("hash => { location.hash = hash; }", quote(json.dumps(state)))
    return finished(page, *words)


def _can_be_made_again(page: Any, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the command line of what is shown: its files must be those that the page gives."""
    png, npz = (
        downloaded(page, page.locator("#download-png"), folder),
        downloaded(page, page.locator("#download-npz"), folder),
    )
    again = folder / "again"
    again.mkdir()
    monkeypatch.chdir(again)
    (again / "faces.pkl").symlink_to(checkpoints.DEMO)
    ran = CliRunner().invoke(main, shlex.split(command)[1:])
    assert ran.exit_code == 0, ran.output
    with Image.open(png) as ours, Image.open(again / png.name) as theirs:
        assert np.abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max() <= 1
        about, other = (json.loads(each.info["stylegan-torch"]) for each in (ours, theirs))
        assert ours.info["XML:com.adobe.xmp"] == theirs.info["XML:com.adobe.xmp"]
    assert about["network"] == other["network"]
    assert about["state"] == STATE
    with np.load(npz) as ours, np.load(again / npz.name) as theirs:
        assert set(ours) == set(theirs)
        for name in theirs.files:
            assert ours[name].dtype == theirs[name].dtype
            if name == "network":
                assert ours[name] == theirs[name]
            else:
                assert np.allclose(ours[name], theirs[name], atol=1e-5), name


def _drop(page: Any, path: Path) -> None:
    script = """async ([name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name));
      window.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, cancelable: true}));
    }"""
    page.evaluate(script, [path.name, list(path.read_bytes())])


def _every_control_works(page: Any, folder: Path) -> None:
    page.locator(".seed").nth(3).click()
    finished(page, "--seeds 1 ")  # behind the two that are pinned
    page.locator(".pad").press("Shift+ArrowUp")
    finished(page, "--move pca:1=1.0 ")
    page.get_by_role("button", name="All to zero").click()
    finished(page, "--truncation 0.7 --out")
    page.get_by_role("button", name="SeFa", exact=True).click()
    page.locator(".direction button").nth(0).click()
    finished(page, "--move sefa:0=-1.0 ")
    page.fill("[data-field='Truncation'] input[type=number]", "1")
    finished(page, "--truncation 1.0 ")
    page.get_by_text("Layer by layer").click()
    page.locator(".band").nth(2).press("ArrowDown")
    finished(page, "--truncation 0.95@2 ")
    page.get_by_role("button", name="Mix seed 8 in").press("Enter")
    finished(page, "--mix 8@0-4 ")
    page.locator("#noise summary").click()
    for word, noise in (("None", "none"), ("Fixed", "const"), ("By a seed", "random")):
        page.locator("#noise").get_by_text(word, exact=True).click()
        finished(page, f"--noise {noise} ")
    page.click("#undo")
    finished(page, "--noise const ")
    page.click("#redo")
    command = finished(page, "--noise random ")
    png, npz = (
        downloaded(page, page.locator("#download-png"), folder),
        downloaded(page, page.locator("#download-npz"), folder),
    )
    page.click("#dice")
    finished(page, "--noise random ")
    page.locator(".history button").nth(1).click()
    assert finished(page, "--seeds 1 ") == command
    page.click("#compare")
    assert page.locator("#divider").is_visible()
    _drop(page, npz)
    finished(page, f"--latents {npz.name} ")
    _drop(page, png)
    assert finished(page, "--seeds 1 ") == command
    page.keyboard.press("k")
    page.click("#dice")
    finished(page, "--noise random ")
    page.get_by_role("button", name="Add this picture").click()
    page.get_by_label("Seconds from key frame 1 to the next").fill("0.3")
    page.get_by_label("Seconds from key frame 2 to the next").fill("0.3")
    assert downloaded(page, page.locator("#film-make"), folder).stat().st_size > 1000
    page.fill("#seed", "3.7")
    page.locator("#status", has_text="Seed: 3.7 is not a whole number").wait_for()
    page.fill("#seed", "3")
    finished(page, "--seeds 3 ")


def test_the_page_draws_as_pytorch_does_and_asks_for_nothing_elsewhere(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `visiting` hears of all that is asked for, by the page's worker too.
    with _page(tmp_path / "page", checkpoints.DEMO) as url, visiting(browser, url) as page:
        _draws_as_pytorch_does(page, checkpoints.DEMO, tmp_path)
        assert not page.locator("#photograph").is_visible()
        assert page.locator("#again .note").text_content() == "on a command line, nearly all values to within 1 of 255"
        command = _goes_to(page, STATE, "--noise-seed 11 ")
        _can_be_made_again(page, command, tmp_path, monkeypatch)
        assert page.locator("#status").text_content() == ""
        _compares_pictures(page)
    with hosting(tmp_path / "page") as url:
        about = tmp_path / "page" / "network.json"
        about.write_text("<!doctype html>")
        with visiting(browser, url) as page:
            page.locator("#status.wrong", has_text="network.json is damaged, or another file").wait_for()
        about.unlink()
        with visiting(browser, url, expected="404") as page:
            page.locator("#status.wrong", has_text="network.json does not come: 404").wait_for()


@pytest.mark.long
def test_every_control_works(browser: Any, tmp_path: Path) -> None:
    with _page(tmp_path / "page", checkpoints.DEMO, "--seeds", "20,30") as url, visiting(browser, url) as page:
        finished(page)
        _every_control_works(page, tmp_path)
        page.locator("img.waiting:visible").first.wait_for(state="detached")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "class_index", "options"),
    [
        ("sg1-cond.pkl", 1, ()),
        ("ada-cond.pkl", None, ("--dtype", "float16")),
        ("ada5_fp16_nhwc_gray.pkl", None, ()),
        ("nonsquare/human-sg3r.pkl", None, ("--no-webgpu",)),
        ("sg2-orig.pkl", None, ()),
    ],
)
def test_networks_of_all_kinds(
    browser: Any, tmp_path: Path, name: str, class_index: int | None, options: tuple[str, ...]
) -> None:
    with _page(tmp_path / "page", DATA / name, *options) as url, visiting(browser, url) as page:
        finished(page)
        if class_index is not None:
            page.select_option("#class", str(class_index))
            finished(page, f"--class {class_index} ")
        _draws_as_pytorch_does(page, DATA / name, tmp_path, class_index)


_WATCH = """window.complaints = [];
window.MediaRecorder = undefined; // which not every browser has
const note = (line) => complaints.push(String(line));
console.error = (...all) => note(all.join(' '));
addEventListener('error', ({ message, target }) => note(message ?? target.outerHTML), true);
addEventListener('unhandledrejection', ({ reason }) => note(reason));
addEventListener('securitypolicyviolation', ({ blockedURI }) => note(`not allowed: ${blockedURI}`));
"""


def _picture(browser: Driven, side: int) -> np.ndarray[Any, Any]:
    """Return the pixels that are on the screen."""
    script = """() => {
      const { width, height } = document.querySelector('#picture');
      const { data } = document.querySelector('#picture').getContext('2d').getImageData(0, 0, width, height);
      return btoa(String.fromCharCode(...data));
    }"""
    pixels = np.frombuffer(base64.b64decode(browser.run(script)), np.uint8)
    return pixels.reshape(side, side, 4)[..., :3].astype(int)


def _presses_play(browser: Driven) -> str:
    """Press the film's button, and return what it says then."""
    browser.press(".player button")
    return str(browser.run("() => document.querySelector('.player button').textContent"))


@pytest.mark.long
@pytest.mark.parametrize("start", [firefox, webkit])
def test_other_browsers_draw_the_same(start: Callable[[], AbstractContextManager[Driven]], tmp_path: Path) -> None:
    with start() as browser, _page(tmp_path / "page", checkpoints.DEMO, "--no-webgpu") as url:
        index = tmp_path / "page" / "index.html"
        index.write_text(index.read_text().replace("<title>", '<script src="watch.js"></script><title>'))
        (index.parent / "watch.js").write_text(_WATCH)
        browser.open(url)
        for seed, ours in draw(converter.load(checkpoints.DEMO).network("G_ema"), SEEDS, DrawSettings(0.7)):
            browser.run("(seed) => { location.hash = JSON.stringify({ seed }); }", seed)
            shown(browser, f"--seeds {seed} ")
            assert np.abs(_picture(browser, ours.shape[0]) - ours).max() <= 1
        browser.drag("[data-field='Direction pca 0'] input[type=range]", (0.5, 0.5), (0.75, 0.5))
        assert 2.5 < float(shown(browser, "--move pca:0=").split("pca:0=")[1].split()[0]) < 3.5
        browser.press(".inner summary")
        browser.drag(".band", (0.5, 0.5), (0.5, 0.2), index=2)
        assert 1.0 < float(shown(browser, "@2").split("@2")[0].split()[-1]) < 1.3  # a slider that stands
        browser.act(
            {"type": "key", "id": "keys", "actions": [{"type": each, "value": "k"} for each in ("keyDown", "keyUp")]}
        )
        assert [_presses_play(browser) for _ in range(4)] == ["Pause", "Play"] * 2
        said = browser.run("() => document.querySelector('#film-line').textContent")
        assert said == "This browser plays the film, and makes no file of it."
        assert browser.run("() => complaints") == []


@contextmanager
def _modules(browser: Any, folder: Path) -> Iterator[Any]:
    """Give an empty page on a host that has the engine's modules."""
    (folder / "blank.html").write_text("<!doctype html><title>blank</title><link rel='icon' href='data:,'>")
    shutil.copytree(PAGE, folder / "page")
    with hosting(folder) as url, visiting(browser, f"{url}blank.html", prefix=url) as page:
        yield page


def test_random_numbers_are_those_of_numpy_and_pytorch(browser: Any, tmp_path: Path) -> None:
    draw = """async ([name, seed, counts]) => {
      const { [name]: Generator } = await import('/page/engines/random.js');
      const generator = new Generator(seed);
      return counts.map((count) => [...generator.randn(count)]);
    }"""
    counts = [1, 3, 64, 7, 16, 25, 5000]
    with _modules(browser, tmp_path) as page:
        for seed in (0, 7, 2**32 - 1):
            state, generator = np.random.RandomState(seed), torch.Generator().manual_seed(seed)
            for count, drawn in zip(counts, page.evaluate(draw, ["RandomState", seed, counts]), strict=True):
                assert np.array_equal(np.float32(drawn), state.randn(count).astype(np.float32))
            for count, drawn in zip(counts, page.evaluate(draw, ["TorchGenerator", seed, counts]), strict=True):
                assert torch.allclose(torch.tensor(drawn), torch.randn(count, generator=generator), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_films_go_the_way_of_the_library(browser: Any, tmp_path: Path, count: int) -> None:
    ws, noise = torch.randn(count, 3, 4), [torch.randn(count, 1, 2, 3), torch.randn(count, 1, 4, 4)]
    if count > 1:
        noise[0][1], noise[1][1] = 0, -noise[1][0]
    starts = [0.0, 0.1, 0.3, 0.35, 0.9][:count]
    times = [0.0, 0.05, 0.3, 0.33, 0.62, 0.95]
    script = """async ([latents, starts, easing, times]) => {
      const { Way } = await import('/page/engines/way.js');
      const array = (values) => Float32Array.from(values);
      const all = latents.map(({ ws, noise }) => ({ ws: array(ws), noise: noise.map(array), own: true }));
      const way = new Way(all, starts, easing);
      return times.map((time) => way.at(time)).map(({ ws, noise }) => [ws, ...noise].map((each) => [...each]));
    }"""
    latents = [
        {"ws": ws[i].flatten().tolist(), "noise": [each[i].flatten().tolist() for each in noise]} for i in range(count)
    ]
    with _modules(browser, tmp_path) as page:
        for easing in EASINGS:
            moved = schedule([easing] * count, starts)
            drawn = page.evaluate(script, [latents, starts, easing, times])
            for time, (theirs, *maps) in zip(times, drawn, strict=True):
                at = moved(torch.tensor([time]))
                assert torch.allclose(torch.tensor(theirs), spline(ws)(at).flatten(), atol=1e-5)
                for ours, each in zip(noise_arcs(noise)(float(at)), maps, strict=True):
                    assert torch.allclose(torch.tensor(each, dtype=torch.float32), ours.flatten(), atol=1e-5)


def test_films_keep_the_stored_noise_if_a_key_frame_has_it(browser: Any, tmp_path: Path) -> None:
    script = """async () => {
      const { Way } = await import('/page/engines/way.js');
      const key = (own, ...noise) => ({ ws: new Float32Array(4), noise: [Float32Array.from(noise)], own });
      const way = new Way([key(true, 1, 2), key(false, 3, 4), key(true, 5, 6)], [0, 0.3, 0.6], 'linear');
      return [0, 0.2, 0.4, 0.9].map((time) => [...way.at(time).noise[0]]);
    }"""
    with _modules(browser, tmp_path) as page:
        assert page.evaluate(script) == [[3, 4]] * 4


def test_a_slow_picture_still_belongs_to_its_wish(browser: Any, tmp_path: Path) -> None:
    script = """async () => {
      globalThis.Worker = class {
        postMessage({ play, id }) {
          if (play) setTimeout(() => this.onmessage({ data: { kind: 'frame', id, whole: false } }));
        }
      };
      const { openOnnx } = await import('/page/engines/onnx.js');
      const engine = await openOnnx(new URL('/network.json', location));
      const seen = [];
      const all = new Promise((done) => engine.addEventListener('frame', ({ detail }) => {
        if (seen.push(detail.at) === 200) done(seen);
      }));
      for (let at = 0; at < 200; at += 1) engine.play({ keys: [], easing: 'linear' }, at);
      return all;
    }"""
    (tmp_path / "network.json").write_text(json.dumps({"facts": {}}))
    with _modules(browser, tmp_path) as page:
        assert page.evaluate(script) == list(range(200))


def test_latents_are_read_as_numpy_writes_them(browser: Any, tmp_path: Path) -> None:
    script = """async (files) => {
      const { latentsOf } = await import('/page/engines/latents.js');
      const about = { num_ws: 3, w_dim: 4, noise: [] };
      const read = ([name, bytes]) => latentsOf(new File([Uint8Array.from(bytes)], name), about);
      return Promise.all(files.map((each) => read(each).then(({ ws }) => [...ws], ({ message }) => message)));
    }"""
    ws = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    arrays = {"ws": ws, "mask": ws > 2, "half": ws.astype("<f2")}
    files = [("a.npy", _npy(ws)), ("a.npz", _npz(**arrays)), ("b.npy", _npy(ws.astype("<f2")))]
    files += [("c.npy", _npy(np.asfortranarray(ws))), ("d.npy", b"\x93NUMPY")]
    with _modules(browser, tmp_path) as page:
        read = page.evaluate(script, [[name, list(content)] for name, content in files])
    assert read[:2] == [ws.ravel().tolist()] * 2
    assert read[2:] == [
        "Latents: b.npy has ws of type <f2",
        "Latents: c.npy has ws of type <f4 in Fortran order",
        "Latents: d.npy is damaged, or not a file of latents (.npz)",
    ]


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _refusal(*arguments: object) -> str:
    ran = CliRunner().invoke(main, ["page", *map(str, arguments)])
    assert ran.exit_code == 1, ran.output
    assert ran.output.startswith("Error: ")
    assert ran.output.count("\n") == 1
    return ran.output


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder that looks like the runtime's."""
    folder = tmp_path / "package" / "dist"
    folder.mkdir(parents=True)
    for name in (*WASM, *WEBGPU):
        (folder / name).write_bytes(b"")
    (folder.parent / "package.json").write_text(json.dumps({"version": VERSION}))
    return folder.parent


def test_what_cannot_be_a_page_is_told_in_a_line(tmp_path: Path, package: Path) -> None:
    to = tmp_path / "page"
    assert "ProGAN has no W" in _refusal(DATA / "pg.pkl", to, "--runtime", package)
    assert "it is neither cut nor grown" in _refusal(
        DATA / "sg3t_64.pkl", to, "--runtime", package, "--resolution-limit", 32
    )
    assert "data has no ort.wasm.min.mjs" in _refusal(DATA / "ada.pkl", to, "--runtime", DATA)
    assert not to.exists()


def test_another_version_of_the_runtime_is_not_taken(tmp_path: Path, package: Path) -> None:
    assert set(runtime_files(package)) == {*WASM, *WEBGPU} == set(runtime_files(package / "dist"))
    for said, told in (('{"version": "1.2.0"}', "1.2.0"), ("[]", "of no known version"), ("", "of no known version")):
        (package / "package.json").write_text(said)
        refused = _refusal(DATA / "ada.pkl", tmp_path / "page", "--runtime", package)
        assert f"package has onnxruntime-web {told}, not {VERSION}" in refused


def test_directions_of_one_name_are_refused(tmp_path: Path) -> None:
    """Before anything is made: they could not be told apart."""
    files = [tmp_path / name for name in ("one/smile.npz", "other/smile.npz", "pca")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    one, other, pca = files
    said = _refusal(checkpoints.DEMO, tmp_path / "page", "--directions", one, "--directions", other)
    assert f"{other}: those of {one} have the name smile.npz too" in said
    assert "the page's own have the name pca too" in _refusal(checkpoints.DEMO, tmp_path / "page", "--directions", pca)


def test_an_address_is_published_without_what_is_secret(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    address = "https://me:word@127.0.0.1/ffhq.pkl?signature=abc#part"
    monkeypatch.setattr(download, "download", lambda *_, **__: DATA / "ada.pkl")
    monkeypatch.setattr(parts, "parts_of", lambda *_: parts.Parts(b"", b"", 1))
    written = CliRunner().invoke(main, ["page", address, str(tmp_path / "page"), "--runtime", str(package)])
    assert written.exit_code == 0, written.output
    said = (tmp_path / "page" / "network.json").read_text()
    about = json.loads(said)
    assert about["options"] == ["--network", "https://127.0.0.1/ffhq.pkl"]
    assert about["facts"]["network"] == "ffhq.pkl"
    assert "word" not in said
    assert "signature" not in said


def test_only_a_page_is_replaced_and_only_by_force(tmp_path: Path) -> None:
    to = tmp_path / "page"
    write_folder(to, {"index.html": b"1", "network.json": b"{}", "page/main.js": b""})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page"]
    assert "exists; use --force to replace it" in _refusal(checkpoints.DEMO, to)
    write_folder(to, {"index.html": b"2"}, force=True)
    assert [path.name for path in to.iterdir()] == ["index.html"]
    assert "holds other things than a page" in _refusal(checkpoints.DEMO, to, "--force")
    assert "is a file; name a folder" in _refusal(checkpoints.DEMO, to / "index.html", "--force")


def test_what_lies_beside_a_page_is_never_deleted(tmp_path: Path) -> None:
    to = tmp_path / "page"
    write_folder(to, {"index.html": b"1", "network.json": b"{}", "page/main.js": b""})
    (to / ".git").mkdir()
    (to / ".git" / "HEAD").write_bytes(b"ref")
    assert "holds .git beside a page" in _refusal(checkpoints.DEMO, to, "--force")
    with pytest.raises(StyleGANError, match=r"holds \.git beside a page"):
        write_folder(to, {"index.html": b"2"}, force=True)
    assert (to / ".git" / "HEAD").read_bytes() == b"ref"


def test_the_page_before_stays_if_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to, rename = tmp_path / "page", Path.rename
    before = {"index.html": b"1", "network.json": b"{}"}
    write_folder(to, before)

    def fail_for_new(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(StyleGANError, match="No space left"):
        write_folder(to, {"index.html": b"2"}, force=True)
    assert {path.name: path.read_bytes() for path in to.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_packages_are_looked_for_before_npm_brings_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_npm() -> bytes:
        raise AssertionError

    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path))
    monkeypatch.setattr(runtime, "_downloaded", no_npm)
    assert "ProGAN has no W" in _refusal(DATA / "pg.pkl", tmp_path / "page")
    monkeypatch.setattr(write, "PYTORCH", TorchVersion("99"))
    assert "a graph needs PyTorch 99 or later" in _refusal(checkpoints.DEMO, tmp_path / "page")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    assert "pip install 'stylegan-torch[onnx]'" in _refusal(checkpoints.DEMO, tmp_path / "page")


def test_without_npm_there_is_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    said = _refusal(checkpoints.DEMO, tmp_path / "page")
    assert f"install Node.js, or give the unpacked package onnxruntime-web {VERSION} by --runtime" in said


def test_another_package_than_is_known_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path))
    monkeypatch.setattr(runtime, "_downloaded", lambda: b"another")
    assert "its sha512 differs" in _refusal(checkpoints.DEMO, tmp_path / "page")
    assert not list(tmp_path.iterdir())
