"""Equivariance: of waves that are it exactly, of what is fixed in place, and of StyleGAN3's networks."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.measuring import MeasureError, equivariance
from stylegan_torch.measuring.equivariance import lanczos, rotated_difference, translated_difference
from stylegan_torch.networks.stylegan3 import image_transform
from tests import DATA


class _Waves:
    """A network that draws waves, which move and turn with its input exactly; the highest are `bandwidth` a pixel."""

    has_w, z_dim, c_dim, device = True, 4, 0, torch.device("cpu")

    def __init__(self, size: tuple[int, int], bandwidth: float, obeys: bool = True) -> None:
        draws = torch.Generator().manual_seed(0)
        self.img_size, self.obeys = size, obeys
        angle, radius = torch.rand(2, 20, generator=draws, dtype=torch.float64)
        radius = radius * bandwidth * size[0]
        self.freqs = torch.stack([radius * (angle * math.tau).cos(), radius * (angle * math.tau).sin()])
        self.phases = torch.rand(20, generator=draws, dtype=torch.float64)
        source = nn.Module()
        source.register_buffer("transform", torch.eye(3))
        self.source: Any = source
        self.synthesis = _Callable(self.images, source)

    def mapping(self, z: Tensor, c: Tensor, truncation_psi: float) -> Tensor:
        return z[:, None]

    def signed(self, images: Tensor) -> Tensor:
        return images

    def images(self, ws: Tensor) -> Tensor:
        height, width = self.img_size
        rows = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2) / height
        columns = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2) / height
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        transform = self.source.transform.double() if self.obeys else torch.eye(3, dtype=torch.float64)
        places = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ transform.expand(len(ws), 3, 3)[:, None].mT
        waves = torch.cos((places[..., :2] @ self.freqs + self.phases) * math.tau)
        strengths = ws[:, 0].double().repeat(1, 5)[:, None, None] / 20
        return (waves * strengths).sum(dim=-1)[:, None]


class _Callable:
    def __init__(self, function: Any, source: nn.Module) -> None:
        self.function, self.input = function, source

    def __call__(self, ws: Tensor) -> Tensor:
        return self.function(ws)


@pytest.mark.parametrize("size", [(64, 48), pytest.param((64, 64), marks=pytest.mark.long)])
@pytest.mark.parametrize(("kind", "least"), [("eqt", 120.0), ("eqt-frac", 55.0), ("eqr", 60.0)])
def test_waves_are_equivariant(kind: str, least: float, size: tuple[int, int]) -> None:
    G: Any = _Waves(size, 0.1)
    assert equivariance(G, kind, samples=4, batch=3) > least
    assert torch.equal(G.source.transform, torch.eye(3))  # which is put back
    stubborn: Any = _Waves(size, 0.1, obeys=False)
    assert equivariance(stubborn, kind, samples=4) < 25


def test_whole_pixels_by_hand() -> None:
    x = torch.arange(16.0).reshape(1, 4, 4)
    moved = torch.full((1, 4, 4), 9.0)
    moved[:, 1:, :3] = x[:, :3, 1:] + 0.5  # down by 1, left by 1, and half a step brighter
    difference = translated_difference(x, moved, (-1.0, 1.0))
    assert difference.shape == (1, 3, 3) and (difference == 0.5).all()
    assert translated_difference(x, x, (0.0, 0.0)).abs().max() == 0
    assert translated_difference(x, x, (5.0, 0.0)).numel() == 0  # nothing of it is left in the frame


def test_parts_of_pixels_by_hand() -> None:
    point = torch.zeros(1, 1, 16)
    point[0, 0, 8] = 1
    difference = translated_difference(point, torch.zeros(1, 1, 16), (0.5, 0.0))
    weights = lanczos(torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], dtype=torch.float64), 3)
    expected = torch.zeros(16)
    expected[6:12] = (weights / weights.sum()).float()
    torch.testing.assert_close(difference[0, 0], -expected[3:14])


def test_quarter_turns_are_those_of_the_array() -> None:
    torch.manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.randn(1, 2, 8, 8), 64, mode="bicubic")[0]
    for quarters in range(4):
        turned = torch.rot90(picture, quarters, dims=(1, 2))  # counter-clockwise
        difference = rotated_difference(picture, turned, 90.0 * quarters)
        assert difference.shape[1] > 1000
        assert difference.abs().max() < 1e-3 * picture.abs().max()
    assert rotated_difference(picture[:, :12, :12], picture[:, :12, :12], 30.0).shape == (2, 0)


@pytest.mark.parametrize(
    ("name", "turns"), [("sg3r_64.pkl", True), pytest.param("sg3t_64.pkl", False, marks=pytest.mark.long)]
)
def test_stylegan3(name: str, turns: bool) -> None:
    G = converter.load(DATA / name).network("G_ema")
    before = G.synthesis.input.transform.clone()  # type: ignore[union-attr,operator]
    assert equivariance(G, "eqt", samples=2) > 50
    rotation = equivariance(G, "eqr", samples=2)
    assert (rotation > 40) == turns  # config T is not made to turn
    assert torch.equal(G.synthesis.input.transform, before)  # type: ignore[arg-type,union-attr]


def test_batches_and_single_pictures_agree() -> None:
    G: Any = _Waves((32, 32), 0.2)
    assert equivariance(G, "eqt-frac", samples=4, batch=1) == pytest.approx(equivariance(G, "eqt-frac", samples=4))


def test_a_transform_of_a_picture_is_that_of_image_transform() -> None:
    x = SimpleNamespace(move=image_transform((0.25, 0.0)))
    assert x.move[0, 2] == pytest.approx(-0.25)


def test_other_networks_are_refused() -> None:
    for name in ("sg2-skip.pkl", "pg.pkl"):
        with pytest.raises(MeasureError, match="only StyleGAN3's networks"):
            equivariance(converter.load(DATA / name).network("G_ema"), "eqt")
    tiny: Any = _Waves((8, 8), 0.1)
    with pytest.raises(MeasureError, match="pictures of 8×8 are too small for eqr"):
        equivariance(tiny, "eqr", samples=2)


def test_command() -> None:
    arguments = ["measure", "eqt", "--network", str(DATA / "sg3t_64.pkl"), "--samples", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("EQ-T, translation by whole pixels: decibels ")
