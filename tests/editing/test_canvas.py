"""Pictures of other sizes, and several latents in one: the ordinary one is in them, and what is beyond is stated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import converter
import stylegan_torch
from stylegan_torch.commands.main import main
from stylegan_torch.editing import canvas
from stylegan_torch.editing.canvas import CanvasError, canvas_of, draw_laid_out, masks_of, strips
from stylegan_torch.editing.latents import Latents, from_seeds
from stylegan_torch.training.recipes import Networks, new_networks
from tests import DATA
from tests.tools.long import cases

NETWORKS = ["sg1.pkl", "sg2-skip.pkl", "sg2-resnet.pkl", "sg2-revised.pkl", "ada-cond.pkl", "small", "small radial"]
NETWORKS += ["sg3t_64.pkl", "sg3r_64.pkl"]
EVERY = cases(NETWORKS, long=["sg2-resnet.pkl", "sg2-revised.pkl", "sg3t_64.pkl", "sg3r_64.pkl"])


def _network(name: str) -> Any:
    """Return the network of a file, or a small one of StyleGAN3."""
    if not name.startswith("small"):
        return converter.load(DATA / name).network("G_ema")
    recipe = Networks("stylegan3", 64, z_dim=8, w_dim=8, channel_base=256, channel_max=8, radial="radial" in name)
    return new_networks(recipe, seed=1)["G"].eval().requires_grad_(False)


def _constant(G: Any) -> Tensor:
    return G.synthesis.b4.const


def _latents(G: Any, *seeds: int) -> Latents:
    return from_seeds(G, seeds, class_index=0 if G.c_dim else None)


@pytest.mark.parametrize("name", EVERY)
def test_the_plain_size_and_one_latent_are_the_ordinary_picture(name: str) -> None:
    G = _network(name)
    one = _latents(G, 3)
    ordinary = G.synthesis(one.ws)
    plain = canvas_of(G, G.img_size)
    assert torch.equal(plain.G.synthesis(one.ws), ordinary)
    masks = masks_of(strips(1, across=True), plain.size, count=1, feather=5)
    assert torch.equal(draw_laid_out(plain, one, masks), ordinary)
    assert torch.equal(G.synthesis(one.ws), ordinary)  # and the network is as it was


@pytest.mark.parametrize("name", EVERY)
def test_every_multiple_of_the_step_can_be_drawn(name: str) -> None:
    G = _network(name)
    step, (height, width) = canvas.step_of(G), G.img_size
    for size in ((height, 3 * width), (height + step, width + 3 * step), (step, width)):
        images = canvas_of(G, size).G.synthesis(_latents(G, 1).ws)
        assert images.shape[2:] == size
        assert images.isfinite().all()


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("small", 2e-3),
        ("small radial", 1e-5),
        pytest.param("sg3t_64.pkl", 2e-4, marks=pytest.mark.long),
        pytest.param("sg3r_64.pkl", 1e-5, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("offset", [None, (0, 0), (8, 124), (-4, 20)])
def test_stylegan3_draws_a_larger_window_of_the_same_field(
    name: str, inside: float, offset: tuple[int, int] | None
) -> None:
    G = _network(name)
    ws = _latents(G, 1).ws
    wide = canvas_of(G, (76, 196), offset=offset)
    top, left = wide.offset
    assert offset is not None or wide.offset == (4, 64)
    inner = slice(16, 48)
    window = wide.G.synthesis(ws)[:, :, top + 16 : top + 48, left + 16 : left + 48]
    ordinary = G.synthesis(ws)[:, :, inner, inner]
    assert (window - ordinary).abs().max() < inside * ordinary.abs().max()


def test_two_windows_of_one_field_agree_far_from_their_borders() -> None:
    G = _network("small")
    ws = _latents(G, 4).ws
    one = canvas_of(G, (128, 128), offset=(32, 64)).G.synthesis(ws)  # the ordinary picture and more to the left
    other = canvas_of(G, (128, 192), offset=(32, 96)).G.synthesis(ws)
    assert (one[:, :, 32:96, 32:96] - other[:, :, 32:96, 64:128]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("fill", "columns"),
    [
        ("reflect", [2, 1, 0, 1, 2, 3, 2, 1, 0, 1]),
        ("tile", [2, 3, 0, 1, 2, 3, 0, 1, 2, 3]),
        ("edge", [0] * 3 + [1, 2] + [3] * 5),
    ],
)
def test_the_constant_goes_on_as_said(fill: Any, columns: list[int]) -> None:
    G = _network("sg2-skip.pkl")
    wide = canvas_of(G, (32, 80), offset=(0, 16), fill=fill)
    assert torch.equal(_constant(wide.G), _constant(G)[:, :, columns])
    cut = canvas_of(G, (16, 32), offset=(-8, 0), fill=fill)
    assert torch.equal(_constant(cut.G), _constant(G)[:, 1:3])


def test_noise_is_the_stored_one_where_the_ordinary_picture_is() -> None:
    G = _network("sg2-skip.pkl")
    wide, again, other = (canvas_of(G, (64, 128), offset=(32, 0), noise_seed=seed) for seed in (0, 0, 1))
    maps = [each.G.synthesis.noise_buffers() for each in (wide, again, other)]
    for stored, one, same, another in zip(G.synthesis.noise_buffers(), *maps, strict=True):
        height, width = stored.shape
        assert one.shape == (2 * height, 4 * width)
        assert torch.equal(one[height:, :width], stored)
        assert torch.equal(one, same)
        assert torch.equal(
            one == another,
            torch.zeros_like(one, dtype=torch.bool).index_put(
                (torch.arange(height, 2 * height)[:, None], torch.arange(width)), torch.tensor(True)
            ),
        )
    beyond = torch.cat([each[: each.shape[0] // 2].flatten() for each in maps[0]])
    assert beyond.mean().abs() < 0.05
    assert beyond.std() == pytest.approx(1, abs=0.05)


def test_noise_of_latents_goes_on_too() -> None:
    G = _network("sg2-skip.pkl")
    sizes = [stored.shape for stored in G.synthesis.noise_buffers()]
    latents = Latents(_latents(G, 1, 2).ws, noise=tuple(torch.randn(2, 1, *size) for size in sizes))
    fitted = canvas_of(G, (32, 64), offset=(0, 32)).fitted(latents)
    for own, larger in zip(latents.noise, fitted.noise, strict=True):
        assert torch.equal(larger[..., own.shape[3] :], own)
    silent = Latents(latents.ws, noise=tuple(torch.zeros(1, 1, *size) for size in sizes))
    assert not any(each.any() for each in canvas_of(G, (64, 64)).fitted(silent).noise)


def test_a_larger_stylegan2_is_a_network_of_its_own(tmp_path: Path) -> None:
    G = _network("sg2-skip.pkl")
    wide = canvas_of(G, (32, 64), fill="tile").G
    stylegan_torch.save(tmp_path / "wide.pt", {"G_ema": wide})
    ws = _latents(G, 5).ws
    images = wide.synthesis(ws)
    assert torch.equal(stylegan_torch.load(tmp_path / "wide.pt").synthesis(ws), images)
    torch.testing.assert_close(stylegan_torch.optimize(wide).synthesis(ws), images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_laid_out_is_of_each_latent_where_its_mask_is(name: str) -> None:
    G = _network(name)
    both = _latents(G, 3, 8)
    plain = canvas_of(G)
    ordinary = G.synthesis(both.ws[1:])
    only = torch.stack([torch.zeros(plain.size), torch.ones(plain.size)])
    torch.testing.assert_close(draw_laid_out(plain, both, only), ordinary, rtol=0, atol=1e-4)
    same = Latents(both.ws[[1, 1]])
    halves = masks_of(strips(2, across=False), plain.size, count=2, feather=2)
    torch.testing.assert_close(draw_laid_out(plain, same, halves), ordinary, rtol=0, atol=1e-4)
    mixed = draw_laid_out(plain, both, halves)
    assert (mixed - ordinary).abs().amax() > 1e-3
    assert not G.synthesis._forward_hooks


def test_far_from_an_edge_each_latent_draws_its_own_picture() -> None:
    G = _network("small")
    both = _latents(G, 3, 8)
    wide = canvas_of(G, (64, 256))
    masks = masks_of(strips(2, across=True), wide.size, count=2)
    images = draw_laid_out(wide, both, masks)
    for ws, part in ((both.ws[:1], slice(16, 64)), (both.ws[1:], slice(-64, -16))):
        own = wide.G.synthesis(ws)[:, :, 16:48, part]
        assert (images[:, :, 16:48, part] - own).abs().max() < 2e-3 * own.abs().max()


def test_masks_are_soft_at_edges_and_1_together() -> None:
    masks = masks_of(torch.tensor([[0, 1], [2, 2]]), (64, 128), count=3, feather=4)
    torch.testing.assert_close(masks.sum(dim=0), torch.ones(64, 128))
    assert masks[0, 0, 0] == masks[2, -1, 0] == 1
    assert masks[0, 0, 63] + masks[0, 0, 64] == pytest.approx(1, abs=1e-5)
    assert masks[0, 0, 68].item() == pytest.approx(0.13, abs=0.02)  # a little over a standard deviation beyond the edge
    hard = masks_of(torch.tensor([[0, 1]]), (4, 4), count=2)
    assert torch.equal(hard[1], torch.tensor([0.0, 0, 1, 1]).expand(4, 4))


def test_what_cannot_be_drawn_is_said() -> None:
    G = _network("sg2-skip.pkl")
    with pytest.raises(CanvasError, match="32x60: this network's sides are multiples of 8"):
        canvas_of(G, (32, 60))
    with pytest.raises(CanvasError, match="an offset of 0,3: this network's are multiples of 8"):
        canvas_of(G, (32, 64), offset=(0, 3))
    with pytest.raises(CanvasError, match="this network draws one size only"):
        canvas_of(_network("pg.pkl"))
    plain = canvas_of(G)
    with pytest.raises(CanvasError, match=r"masks are \[2, 32, 32\], not \[1, 32, 32\]"):
        draw_laid_out(plain, _latents(G, 1), torch.ones(2, 32, 32))


def _draw(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["draw", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def _mask(path: Path, *grays: int) -> Path:
    Image.fromarray(np.array([grays], np.uint8)).save(path)
    return path


def test_by_command(tmp_path: Path) -> None:
    out, network = tmp_path / "wide.png", ("--network", DATA / "sg2-skip.pkl")
    mask = _mask(tmp_path / "mask.png", 200, 0, 90)
    _draw(
        *network, "--seeds", "1,2,3", "--layout", mask, "--size", "32x96", "--outdir", tmp_path / "each", "--out", out
    )
    with Image.open(out) as picture:
        assert picture.size == (96, 32)
        about = json.loads(picture.info["stylegan-torch"])
    assert about["seeds"] == [1, 2, 3]
    assert about["canvas"]["size"] == [32, 96]
    assert [path.name for path in (tmp_path / "each").iterdir()] == ["0000.png"]
    said = _draw(*network, "--seeds", "1,2", "--size", "64x64", "--columns", 1, "--out", out, "--force")
    assert said.startswith("2 pictures in")
    with Image.open(out) as picture:
        assert picture.size == (64, 128)
    one, ordinary = tmp_path / "one.png", tmp_path / "ordinary.png"
    _draw(*network, "--seeds", 5, "--layout", "columns", "--out", one)
    _draw(*network, "--seeds", 5, "--exact", "--out", ordinary)
    with Image.open(one) as a, Image.open(ordinary) as b:
        assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (("--size", "32"), "'32' is not height x width such as 512x1024", 2),
        (("--size", "0x32"), "'0x32' is not height x width", 2),
        (("--size", "33x32"), "33x32: this network's sides are multiples of 8, at least that", 1),
        (("--size", "99992x32"), "99992x32: a side has at most 16384 pixels", 1),
        (("--offset", "1"), "'1' is not pixels from the top and the left such as 0,64", 2),
        (("--layout", "nowhere.png"), "cannot read nowhere.png: No such file", 1),
        (("--layout", "{mask}"), "mask.png has 2 grays (0, 9), and there are 3 pictures to lay out", 1),
        (("--layout", __file__), "is broken, or not a picture", 1),
    ],
)
def test_wrong_options_get_one_line(arguments: Any, message: str, status: int, tmp_path: Path) -> None:
    mask = _mask(tmp_path / "mask.png", 0, 9)
    given = [argument.format(mask=mask) for argument in arguments]
    out = tmp_path / "out.png"
    said = _draw("--network", DATA / "sg2-skip.pkl", "--seeds", "1-3", *given, "--out", out, status=status)
    assert message in said
    assert not out.exists()
