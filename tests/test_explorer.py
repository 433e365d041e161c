"""The explorer without its page: previews, canvases, and what a visitor keeps."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image

import checkpoints
import converter
from stylegan_torch.editing import latents
from stylegan_torch.editing.composition import Composition, Mix, Move
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import canvas as drawing
from stylegan_torch.explorer.canvas import Canvas, OvertakenError
from stylegan_torch.explorer.preview import Preview
from stylegan_torch.explorer.studio import KEPT, Sitting, Source, Studio, Wish
from stylegan_torch.fast import optimize
from stylegan_torch.group import main

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def demo() -> Any:
    return converter.load(checkpoints.DEMO).network("G_ema")


@pytest.fixture
def studio() -> Iterator[Studio]:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
        return G, optimize(G), {"name": "sg2-skip.pkl"}

    studio = Studio({"small": Source(opened, ("--network", str(DATA / "sg2-skip.pkl")))})
    yield studio
    studio.close()


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


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-resnet.pkl", "sg3t_64.pkl", "ada5_fp16_nhwc_gray.pkl"])
@torch.inference_mode()
def test_a_preview_stops_early_in_every_family(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema")
    ws = latents.from_seeds(G, [0]).ws
    side = G.img_resolution // 4
    preview, drawn = Preview(G, side), list[str]()
    assert not preview.ready
    with pytest.raises(ValueError, match="nothing has been drawn"):
        preview.sketch(lambda: G.synthesis(ws))
    preview.learn(lambda: G.synthesis(ws))
    for child, module in G.synthesis.named_children():
        module.register_forward_hook(lambda _, __, ___, child=child: drawn.append(child))
    sketch = preview.sketch(lambda: G.synthesis(ws))
    assert sketch.shape == (1, G.img_channels, side, side)
    assert 0 < len(drawn) < len(list(G.synthesis.children()))


def test_a_slow_network_gets_previews(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "QUICK", 0.0)
    monkeypatch.setattr("stylegan_torch.explorer.preview.SIDE", 32)
    slow = Canvas(demo, demo)
    wanted = slow.compose(Composition(3, 0.7))
    assert not slow.quick
    assert slow.draw(wanted).shape == (64, 64, 3)
    slow._preview = Preview(demo, side=16)
    slow.draw(wanted)
    assert slow.glimpse(wanted).shape == (16, 16, 3)
    monkeypatch.setattr(drawing, "QUICK", 1e9)
    assert np.array_equal(slow.glimpse(wanted), slow.draw(wanted))


def test_a_picture_that_is_overtaken_is_given_up(demo: Any) -> None:
    canvas = Canvas(demo, demo)
    wanted, asked = canvas.compose(Composition(3)), []
    picture = canvas.draw(wanted)
    with pytest.raises(OvertakenError):
        canvas.draw(wanted, lambda: asked.append(1) or len(asked) == 3)  # type: ignore[func-returns-value]
    assert len(asked) == 3
    assert np.array_equal(canvas.draw(wanted), picture)
    assert len(asked) == 3


def test_a_finished_picture_is_what_its_command_draws(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sitting = studio.sitting("me")
    picture = Composition(5, 0.6, None, (Mix(8, "0-3"),), (Move("sefa", 1, 0.5, "4-7"),), "random", 2)
    wish = sitting.wish = Wish("small", picture)
    result = studio.finish(sitting, wish)
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


def test_latents_that_were_brought(studio: Studio, tmp_path: Path) -> None:
    sitting, G = studio.sitting("me"), studio.canvas("small").G
    latents.save(tmp_path / "two faces.npz", latents.from_seeds(G, [1, 2], 0.5))
    base = studio.bring(sitting, "small", tmp_path / "two faces.npz")
    assert (base.name, base.rows) == ("two faces.npz", 2)
    assert sitting.base is not None
    wish = sitting.wish = Wish("small", Composition(sitting.base, 0.7, row=1))
    result = studio.finish(sitting, wish)
    assert "--latents 'two faces.npz' --row 1" in result.commands
    assert result.png.name == "two faces-1.png"
    with np.load(result.npz) as content:
        assert content["seeds"].tolist() == [2]


def test_latents_that_cannot_be_used(studio: Studio, tmp_path: Path) -> None:
    sitting, path = studio.sitting("me"), tmp_path / "w.npz"
    path.write_bytes(b"not latents")
    with pytest.raises(StyleGANError, match="is damaged, or not a file of latents"):
        studio.bring(sitting, "small", path)
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 8, 16), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ws.npy", header + bytes(100_000))
    with pytest.raises(StyleGANError, match="is damaged, or not a file of latents"):
        studio.bring(sitting, "small", path)
    assert not sitting.bases


def test_files_that_unpack_to_far_more_than_they_hold_are_refused(studio: Studio, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ws.npy", "w") as f:
        for _ in range(300):
            f.write(bytes(1 << 20))
    with pytest.raises(StyleGANError, match="unpacks to far more"):
        studio.bring(studio.sitting("me"), "small", tmp_path / "bomb.npz")


def test_the_history_keeps_what_differs(studio: Studio) -> None:
    sitting = studio.sitting("me")
    for seed in (1, 1, 2, *range(KEPT + 2)):
        wish = sitting.wish = Wish("small", Composition(seed))
        studio.finish(sitting, wish)
    assert [each.wish.picture.base for each in sitting.history] == list(range(2, KEPT + 2))


def test_a_wish_that_is_no_longer_wanted_is_not_finished(studio: Studio) -> None:
    sitting, old = studio.sitting("me"), Wish("small", Composition(1))
    sitting.wish = Wish("small", Composition(1))
    with pytest.raises(OvertakenError):
        studio.finish(sitting, old)
    assert not sitting.history


def test_visitors_do_not_share_anything_and_leave_nothing(studio: Studio) -> None:
    one, other = studio.sitting("one"), studio.sitting("other")
    assert one is studio.sitting("one") is not other
    wish = one.wish = Wish("small", Composition(1))
    files = studio.finish(one, wish)
    assert files.png.exists()
    studio.leave("one")
    assert not files.png.exists()
    assert other.folder.exists()
    assert one.left
    studio.leave("one")
    studio.close()
    assert not studio.folder.exists()


def test_moves_of_several_kinds(tmp_path: Path) -> None:
    sitting = Sitting(tmp_path)
    sitting.moves = {"pca": ("all", [0.0, 1.5]), "smile.npz": ("0-3", [-1.0, 0.0])}
    moves = (Move("pca", 1, 1.5), Move("smile.npz", 0, -1.0, "0-3"))
    assert sitting.all_moves() == moves
    sitting.set_moves(moves, 2)
    assert sitting.all_moves() == moves
    sitting.set_moves((), 2)
    assert sitting.all_moves() == ()


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
