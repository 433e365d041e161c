"""The explorer without its page: previews, renderers, and what a visitor keeps."""

from __future__ import annotations

import asyncio
import errno
import html
import os
import shlex
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import checkpoints
import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing import latents
from stylegan_torch.editing.composition import Composition, Mix, Move
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import reports
from stylegan_torch.explorer.fields import as_text, choice, number, text, whole
from stylegan_torch.explorer.preview import Preview
from stylegan_torch.explorer.renderer import OvertakenError, Renderer
from stylegan_torch.explorer.sessions import KEPT, MOST_LATENTS, NetworkChoice, Request, Sessions, as_set, moves_of
from stylegan_torch.fast import optimize
from tests import DATA, HOME


@pytest.fixture(scope="module")
def demo() -> Any:
    return converter.load(checkpoints.DEMO).network("G_ema")


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
        return G, optimize(G), {"name": "sg2-skip.pkl"}

    sessions = Sessions({"small": NetworkChoice(opened, ("--network", str(DATA / "sg2-skip.pkl")))}, visitors=2)
    yield sessions
    sessions.close()


@torch.inference_mode()
def test_previews_resemble_the_pictures(demo: Any) -> None:
    G = optimize(demo)
    preview = Preview(G, side=32)
    ws = latents.from_seeds(demo, range(10), 0.7).ws[:, None]
    for each in ws[:8]:
        assert torch.equal(preview.learn(lambda each=each: G.synthesis(each)), G.synthesis(each))  # type: ignore[misc]
    for each in ws[8:]:
        sketch = preview.sketch(lambda each=each: G.synthesis(each))  # type: ignore[misc]
        assert sketch.shape == (1, 3, 32, 32)
        small = F.interpolate(G.synthesis(each), (32, 32), mode="area")
        assert 10 * torch.log10(4 / (sketch - small).square().mean()) > 20  # dB


@torch.inference_mode()
def test_odd_pictures_spoil_previews_for_a_while_only(demo: Any) -> None:
    preview = Preview(demo, side=16)
    ws = latents.from_seeds(demo, range(40), 0.7).ws

    def error(each: Tensor) -> float:
        sketch = preview.sketch(lambda: demo.synthesis(each[None]))
        small = F.interpolate(demo.synthesis(each[None]), (16, 16), mode="area")
        return float((sketch - small).square().mean())

    for each in ws[:10]:
        preview.learn(lambda each=each: demo.synthesis(each[None]))  # type: ignore[misc]
    good = error(ws[39])
    for factor in (1e5, 1e30, float("nan")):
        preview.learn(lambda factor=factor: demo.synthesis(ws[:1] * factor))  # type: ignore[misc]
    for each in ws[10:39]:
        preview.learn(lambda each=each: demo.synthesis(each[None]))  # type: ignore[misc]
    assert error(ws[39]) < 2 * good


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-resnet.pkl", "sg3t_64.pkl", "ada5_fp16_nhwc_gray.pkl"])
@torch.inference_mode()
def test_a_preview_stops_early_in_every_family(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema")
    ws = latents.from_seeds(G, [0]).ws
    side = G.img_resolution // 4
    preview, drawn = Preview(G, side), list[str]()
    with pytest.raises(ValueError, match="nothing has been drawn"):
        preview.sketch(lambda: G.synthesis(ws))
    preview.learn(lambda: G.synthesis(ws))
    for child, module in G.synthesis.named_children():
        module.register_forward_hook(lambda _, __, ___, child=child: drawn.append(child))
    sketch = preview.sketch(lambda: G.synthesis(ws))
    assert sketch.shape == (1, G.img_channels, side, side)
    assert 0 < len(drawn) < len(list(G.synthesis.children()))


def test_a_slow_network_gets_previews(demo: Any) -> None:
    slow = Renderer(demo, demo, preview_side=16, quick_seconds=0.0)
    wanted = slow.compose(Composition(3, 0.7))
    assert not slow.quick
    assert slow.draw(wanted).shape == (64, 64, 3)
    assert slow.glimpse(wanted).shape == (16, 16, 3)
    slow.quick_seconds = 1e9
    assert np.array_equal(slow.glimpse(wanted), slow.draw(wanted))


def test_learning_a_preview_does_not_count_as_drawing(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("stylegan_torch.explorer.renderer.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(Preview, "_fit", lambda self, image: clock.append(clock.pop() + 10))
    renderer = Renderer(demo, demo)
    assert clock[0] == 10
    assert renderer.quick


def test_a_picture_that_is_overtaken_is_given_up(demo: Any) -> None:
    renderer = Renderer(demo, demo)
    wanted, asked = renderer.compose(Composition(3)), list[int]()
    picture = renderer.draw(wanted)

    def enough() -> bool:
        asked.append(1)
        demo.synthesis(wanted.ws)  # as a projection does meanwhile: it is not overtaken
        return len(asked) == 3

    with pytest.raises(OvertakenError):
        renderer.draw(wanted, enough)
    assert len(asked) == 3
    assert np.array_equal(renderer.draw(wanted), picture)
    assert len(asked) == 3


def test_a_finished_picture_is_what_its_command_draws(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.of("me")
    picture = Composition(5, 0.6, None, (Mix(8, "0-3"),), (Move("sefa", 1, 0.5, "4-7"),), "random", 2)
    request = session.request = Request("small", picture)
    result = sessions.finish(session, request)
    assert (result.png.name, result.npz.name) == ("seed0005.png", "seed0005.npz")
    program, *words = shlex.split(result.commands)
    assert program == "stylegan"
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 0, again.output
    assert Image.open(tmp_path / "seed0005.png").tobytes() == Image.open(result.png).tobytes()
    with np.load(tmp_path / "seed0005.npz") as theirs, np.load(result.npz) as ours:
        assert theirs.files == ours.files
        assert all(np.array_equal(theirs[name], ours[name]) for name in ours.files)


def test_latents_that_were_brought(sessions: Sessions, tmp_path: Path) -> None:
    session, G = sessions.of("me"), sessions.renderer("small").G
    latents.save(tmp_path / "two faces.npz", latents.from_seeds(G, [1, 2], 0.5))
    base = sessions.bring(session, "small", tmp_path / "two faces.npz")
    assert (base.network, base.name, base.rows) == ("small", "two faces.npz", 2)
    assert session.base is not None
    request = session.request = Request("small", Composition(session.base, 0.7, row=1))
    result = sessions.finish(session, request)
    assert "--latents 'two faces.npz' --row 1" in result.commands
    assert result.png.name == "two faces-1.png"
    with np.load(result.npz) as content:
        assert content["seeds"].tolist() == [2]


def test_latents_that_cannot_be_used(sessions: Sessions, tmp_path: Path) -> None:
    session, path = sessions.of("me"), tmp_path / "w.npz"
    path.write_bytes(b"not latents")
    with pytest.raises(StyleGANError, match="is damaged, or not a file of latents"):
        sessions.bring(session, "small", path)
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 8, 16), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ws.npy", header + bytes(100_000))
    with pytest.raises(StyleGANError, match="is damaged, or not a file of latents"):
        sessions.bring(session, "small", path)
    latents.save(path, latents.Latents(torch.zeros(MOST_LATENTS + 1, 8, 16)), force=True)
    with pytest.raises(StyleGANError, match="1000 are the most that can be taken here"):
        sessions.bring(session, "small", path)
    assert not session.bases


def test_files_that_unpack_to_far_more_than_they_hold_are_refused(sessions: Sessions, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ws.npy", "w") as f:
        for _ in range(300):
            f.write(bytes(1 << 20))
    with pytest.raises(StyleGANError, match="unpacks to far more"):
        sessions.bring(sessions.of("me"), "small", tmp_path / "bomb.npz")


def test_the_history_keeps_what_differs(sessions: Sessions) -> None:
    session = sessions.of("me")
    for seed in (1, 2, 1, *range(3, KEPT + 3)):
        request = session.request = Request("small", Composition(seed))
        sessions.finish(session, request)
    assert [each.request.picture.base for each in session.history] == list(range(3, KEPT + 3))
    assert sorted(session.folder.glob("*/*.png")) == sorted(
        path for each in session.history for path in (each.png, each.thumbnail)
    )


def test_a_request_that_is_no_longer_wanted_is_not_finished(sessions: Sessions) -> None:
    session, old = sessions.of("me"), Request("small", Composition(1))
    session.request = Request("small", Composition(1))
    with pytest.raises(OvertakenError):
        sessions.finish(session, old)
    assert not session.history


def test_what_a_visitor_does_overtakes_what_went_before(sessions: Sessions) -> None:
    session, one, two = sessions.of("me"), Request("small", Composition(1)), Request("small", Composition(2))
    assert session.ask(session.begin(), one)
    late, later = session.begin(), session.begin()
    with pytest.raises(OvertakenError):  # nobody knows yet what is wanted, but not that
        sessions.finish(session, one)
    assert not session.ask(late, two)
    assert session.request is None
    assert session.ask(later, None)  # what was wanted could not be drawn
    assert session.request is one
    assert sessions.finish(session, one) is sessions.finish(session, one)


def test_a_picture_that_is_asked_for_twice_is_drawn_once(sessions: Sessions) -> None:
    session, request = sessions.of("me"), Request("small", Composition(1))
    session.ask(session.begin(), request)
    threads = [threading.Thread(target=sessions.finish, args=(session, request)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(session.history) == 1


def test_files_that_cannot_be_written(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("stylegan_torch.explorer.sessions.save_png", full)
    session, request = sessions.of("me"), Request("small", Composition(1))
    session.ask(session.begin(), request)
    with pytest.raises(StyleGANError, match="cannot write seed0001: No space left on device"):
        sessions.finish(session, request)
    assert not session.history


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        (lambda: number("Psi", 2, low=-1, high=1.5), "Psi: 2 is not a number from -1 to 1.5"),
        (lambda: number("Psi", float("nan"), low=-1, high=1.5), "Psi: nan is not a number from -1 to 1.5"),
        (lambda: whole("Seed", 10**400, low=0, high=9), f"Seed: 1{'0' * 39} is not a whole number from 0 to 9"),
        (lambda: whole("Seed", True, low=0, high=9), "Seed: True is not a whole number from 0 to 9"),
        (lambda: whole("Seed", None, low=0, high=9), "Seed is empty: it takes a whole number from 0 to 9"),
        (lambda: choice("Noise", ["none"], ["none"]), "Noise: ['none'] is not one of none"),
        (lambda: text("Layers", "x" * 201), f"Layers: '{'x' * 39} is not a text of at most 200 characters"),
    ],
)
def test_fields_say_what_they_take(checked: Callable[[], Any], said: str) -> None:
    with pytest.raises(StyleGANError) as error:
        checked()
    assert str(error.value) == said


def test_fields_that_hold_what_they_should() -> None:
    assert (number("", 1, low=0, high=1), whole("", 3.0, low=0, high=3)) == (1.0, 3)
    assert (choice("", "a", "ab"), text("", "")) == ("a", "")


def test_an_error_that_nobody_expected_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert reports.report(TypeError("a\nb")) == "unexpected TypeError: a b"
    with caplog.at_level("DEBUG", reports.LOG.name):  # as --debug has it
        reports.report(TypeError("a"))
    assert [bool(each.exc_info) for each in caplog.records] == [False, True]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("wrapped", "status"), [(FileNotFoundError(2, "none"), 404), (TypeError("other"), 500)])
def test_a_picture_that_went_while_it_was_asked_for_is_no_error(
    sessions: Sessions, caplog: pytest.LogCaptureFixture, wrapped: Exception, status: int, *, begun: bool
) -> None:
    roof = pytest.importorskip("stylegan_torch.explorer.roof")
    sent: list[Any] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200})
        try:
            raise wrapped
        except FileNotFoundError:
            raise RuntimeError("File at path x does not exist.")  # noqa: B904 - as Starlette does

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(roof.Roof(application, sessions)({"type": "http", "path": "/x"}, send, send))
    assert [each["status"] for each in sent if "status" in each] == [200 if begun else status]
    assert bool(caplog.records) is (status == 500)


def test_a_gradio_without_what_is_replaced_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    gradio, roof = pytest.importorskip("gradio"), pytest.importorskip("stylegan_torch.explorer.roof")
    monkeypatch.setattr(gradio.processing_utils, "async_ssrf_protected_download", roof.gr.Blocks.process_api)
    roof.secure_uploads()
    with pytest.raises(roof.gr.Error, match="x is not fetched"):
        asyncio.run(gradio.processing_utils.async_ssrf_protected_download("x", ""))
    monkeypatch.delattr(gradio.processing_utils, "async_ssrf_protected_download")
    with pytest.raises(StyleGANError, match=r"has no async_ssrf_protected_download, .* install 'gradio>=6\.31,<7'"):
        roof.secure_uploads()


def test_the_gradio_that_is_wanted_is_the_one_that_is_installed_with_the_package() -> None:
    roof = pytest.importorskip("stylegan_torch.explorer.roof")
    with (HOME / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["optional-dependencies"]["explore"] == [roof.REQUIRED]


def test_visitors_do_not_share_anything_and_leave_nothing(sessions: Sessions) -> None:
    one, other = sessions.of("one"), sessions.of("other")
    assert one is sessions.of("one") is not other
    request = one.request = Request("small", Composition(1))
    files = sessions.finish(one, request)
    assert files.png.exists()
    sessions.leave("one")
    assert not files.png.exists()
    assert other.folder.exists()
    assert one.left
    sessions.leave("one")
    sessions.close()
    assert not sessions.folder.exists()


def test_those_who_did_nothing_for_longest_are_forgotten(sessions: Sessions) -> None:
    one, two = sessions.of("one"), sessions.of("two")
    assert sessions.of("one") is one
    sessions.of("three")
    assert (one.left, two.left) == (False, True)
    assert not two.folder.exists()


def test_the_oldest_visitors_go_when_there_are_too_many_bytes(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylegan_torch.explorer.sessions.ALL_BYTES", 1)
    one, two = sessions.of("one"), sessions.of("two")
    for each in (one, two):
        request = each.request = Request("small", Composition(1))
        sessions.finish(each, request)
    assert (one.left, two.left) == (True, False)
    assert two.history


def test_the_oldest_pictures_go_when_there_are_too_many_bytes(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.of("me")
    monkeypatch.setattr("stylegan_torch.explorer.sessions.VISITOR_BYTES", 1)
    for seed in (1, 2):
        request = session.request = Request("small", Composition(seed))
        sessions.finish(session, request)
    assert [each.request.picture.base for each in session.history] == [2]
    assert sorted(session.folder.glob("*/*.npz")) == [session.history[0].npz]


def test_latents_that_no_picture_begins_with_go(sessions: Sessions, tmp_path: Path) -> None:
    session, G = sessions.of("me"), sessions.renderer("small").G
    latents.save(tmp_path / "w.npz", latents.from_seeds(G, [1]))
    sessions.bring(session, "small", tmp_path / "w.npz")
    first = session.base
    assert first is not None
    session.ask(session.begin(), Request("small", Composition(first, 0.7)))
    assert session.request
    sessions.finish(session, session.request)
    for _ in range(9):
        sessions.bring(session, "small", tmp_path / "w.npz")
    assert next(iter(session.bases)) == first
    assert len(session.bases) < 7
    assert set(session.folder.glob("*/base.npz")) == set(session.bases)


def test_what_is_shown_for_a_moment_does_not_stay(sessions: Sessions) -> None:
    session, picture = sessions.of("me"), Image.new("RGB", (4, 4))
    drafts = [session.draft(picture) for _ in range(20)]
    assert len(set(drafts)) == 20
    assert sorted(session.folder.iterdir()) == sorted(drafts[-8:])
    targets = [session.target(picture) for _ in range(2)]
    assert [path.exists() for path in targets] == [False, True]
    sessions.leave("me")
    with pytest.raises(StyleGANError, match=r"cannot write draft-\d+\.jpg: No such file"):
        session.draft(picture)


def _upload(sessions: Sessions, name: str, age: float, size: int = 10) -> Path:
    path = sessions.folder / name / "w.npz"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    for each in (path, path.parent):
        os.utime(each, (time.time() - age,) * 2)
    return path


def test_uploads_stay_for_a_while(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylegan_torch.explorer.sessions.UPLOADS_BYTES", 25)
    sessions.of("me")
    uploads = [_upload(sessions, f"upload{age}", age) for age in (1, 4000, 30, 20)]
    sessions.trim_uploads()
    assert [path.exists() for path in uploads] == [True, False, False, True]
    sessions.leave("me")  # and nobody is left
    assert not any(path.exists() for path in uploads)
    assert [path.name for path in sessions.folder.iterdir()] == ["visitors"]


def test_an_upload_is_an_upload(sessions: Sessions, tmp_path: Path) -> None:
    upload = _upload(sessions, "upload", 0)
    assert sessions.uploaded(str(upload)) == upload.resolve()
    theirs = sessions.of("other").new_file("base.npz")
    theirs.write_bytes(b"x")
    outside = tmp_path / "secret"
    outside.write_bytes(b"x")
    (upload.parent / "link").symlink_to(outside)
    others = [theirs, outside, upload.parent / "link", upload.parent, sessions.folder / "x/../../secret", "", None, 3]
    for path in others:
        with pytest.raises(StyleGANError, match="this is no upload"):
            sessions.uploaded(path if path in (None, 3) else str(path))


@pytest.mark.parametrize("line", ["<b>x</b> & 'y'", "![x](http://e.x/y.png) *a* _b_ `c` # d | $e$", "www.x.y ~~z~~ é"])
def test_lines_are_shown_as_they_are(line: str) -> None:
    shown = as_text(line)
    assert html.unescape(shown) == line
    assert not set(shown) & set("<>*_`[]!()|$~.:/'\"")


def test_moves_of_several_kinds() -> None:
    moves = (Move("pca", 1, 1.5), Move("smile.npz", 0, -1.0, "0-3"))
    was_set = {"pca": ("as found", [0.0, 1.5]), "smile.npz": ("0-3", [-1.0, 0.0])}
    assert moves_of(was_set) == moves
    assert as_set(moves, 2) == was_set
    assert as_set((), 2) == {}


def test_names_of_pictures_do_not_repeat(sessions: Sessions) -> None:
    session = sessions.of("me")
    for psi, name in ((0.7, "seed0001"), (0.6, "seed0001-2"), (0.5, "seed0001-3")):
        request = session.request = Request("small", Composition(1, psi))
        result = sessions.finish(session, request)
        assert result.png.stem == result.npz.stem == name
        assert f"--out {name}.png --save-latents {name}.npz" in result.commands


def test_a_projection_is_told_with_the_options_that_it_has() -> None:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
        return G, G, {}

    sessions = Sessions({"small": NetworkChoice(opened, ("--network", "a b.pkl"), ("--exact",))})
    session = sessions.of("me")
    found = latents.from_seeds(sessions.renderer("small").G, [1])
    sessions.take_projection(session, "small", found, photo="-x.png", options=["--steps", "9"])
    assert session.base is not None
    request = session.request = Request("small", Composition(session.base, 0.7))
    project, draw = sessions.finish(session, request).commands.splitlines()
    assert project == "stylegan project ./-x.png --network 'a b.pkl' --steps 9 --outdir out"
    assert draw.startswith("stylegan draw --network 'a b.pkl' --exact --latents out/-x.npz ")
    sessions.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--network", "no.pkl"], "no.pkl"),
        (["--network", str(DATA / "pg.pkl")], "ProGAN has no W"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_explored(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["explore", *arguments])
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.splitlines()) == 1
