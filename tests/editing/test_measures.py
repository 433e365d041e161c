"""Measures against their definitions."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing import measures
from tests import DATA


class _Callable:
    """A function with attributes."""

    def __init__(self, function: Callable[..., Tensor], **attributes: Any) -> None:
        self.function = function
        vars(self).update(attributes)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.function(*args, **kwargs)


class _Linear:
    """A generator whose mapping leaves z as it is, and whose images are A w."""

    has_w = True

    def __init__(self) -> None:
        self.matrix = torch.randn(3 * 4 * 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        self.z_dim, self.c_dim, self.device = 6, 0, torch.device("cpu")
        self.mapping = _Callable(lambda z, c: z.double()[:, None])
        self.synthesis = _Callable(
            lambda ws, noise: (ws[:, 0] @ self.matrix.t()).reshape(-1, 3, 4, 4), noise_buffers=list
        )

    def signed(self, images: Tensor) -> Tensor:
        return images


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).sum(dim=1)


def test_path_length_of_a_linear_generator() -> None:
    G: Any = _Linear()
    lengths = measures.perceptual_path_length(G, _squared, samples=6, epsilon=1e-3, batch=6)
    a, b = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    expected = ((b - a) @ G.matrix.t()).square().sum(dim=1)  # a straight line is walked at an even pace
    torch.testing.assert_close(lengths, expected, rtol=1e-4, atol=0)
    ends = measures.perceptual_path_length(G, _squared, samples=6, epsilon=1e-3, batch=6, ends_only=True)
    torch.testing.assert_close(ends, expected, rtol=1e-4, atol=0)


def test_path_length_of_a_face() -> None:
    G: Any = _Linear()
    settings: dict[str, Any] = {"samples": 2, "epsilon": 1e-3, "batch": 2}
    found = measures.perceptual_path_length(G, _squared, crop=True, **settings)

    def middle(a: Tensor, b: Tensor) -> Tensor:
        return _squared(a[:, :, 1:3, 1:3], b[:, :, 1:3, 1:3])

    assert torch.equal(found, measures.perceptual_path_length(G, middle, **settings))


@pytest.mark.parametrize("space", ["z", "w"])
def test_path_length_of_a_network(space: str) -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema").double()
    settings: dict[str, Any] = {"samples": 5, "space": space, "epsilon": 1e-4}
    lengths = measures.perceptual_path_length(G, _squared, **settings)
    assert lengths.shape == (5,)
    assert (lengths > 0).all()
    finer = measures.perceptual_path_length(G, _squared, **{**settings, "epsilon": 5e-5})
    torch.testing.assert_close(finer, lengths, rtol=0.02, atol=0)  # it is a derivative: the step doesn't matter


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-skip.pkl"])
def test_path_length_norms_by_finite_differences(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema").double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    found = measures.path_length_norms(G, samples=1, batch=1)
    z = torch.randn(1, G.z_dim, generator=generator)
    ws = G.mapping(z.double())
    size = G.synthesis(ws).shape
    y = torch.randn(size, generator=generator).double() / math.sqrt(size[2] * size[3])
    slopes = torch.zeros_like(ws)
    for index in np.ndindex(*ws.shape):
        step = torch.zeros_like(ws)
        step[index] = 1e-5
        slopes[index] = ((G.synthesis(ws + step) - G.synthesis(ws - step)) * y).sum() / 2e-5
    torch.testing.assert_close(found.double(), slopes.square().sum(dim=2).mean(dim=1).sqrt(), rtol=1e-3, atol=0)


def test_scores_do_not_depend_on_neighbours() -> None:
    D = converter.load(DATA / "ada-cond.pkl").network("D")
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together, apart = measures.scores(D, [images], 3), measures.scores(D, torch.split(images, 1), 3)
    assert torch.equal(together, apart)
    c = torch.zeros(1, 10)
    c[0, 3] = 1
    torch.testing.assert_close(together[2], D(images[2:3], c)[0, 0])


def _rate(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["rate", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_rate_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    network = ("--network", DATA / "sg2-skip.pkl")
    rows = list(csv.DictReader(_rate(folder, *network).splitlines()))
    values = [float(row["score"]) for row in rows]
    assert sorted(row["name"] for row in rows) == ["0.png", "1.png", "2.png"]
    assert values == sorted(values, reverse=True)
    assert _rate(folder, *network, "--out", tmp_path / "list.csv") == f"3 scores in {tmp_path / 'list.csv'}\n"
    assert "exists; use --force" in _rate(folder, *network, "--out", tmp_path / "list.csv", status=1)
    (folder / "0.png").rename(folder / "\x1b[31m.png")
    assert "\\x1b[31m.png" in _rate(folder, *network)
    if sys.platform == "linux":  # elsewhere names are UTF-8
        (folder / "1.png").rename(folder / "\udcff.png")
        _rate(folder, *network, "--out", tmp_path / "list.csv", "--force")
        assert "\\udcff.png" in (tmp_path / "list.csv").read_text()
    (folder / "bad.png").write_bytes(b"")
    assert "bad.png is broken, or not a picture; --bad skip" in _rate(folder, *network, status=1)
    assert "Skipped bad.png" in _rate(folder, *network, "--bad", "skip")
    assert "there is no class 3" in _rate(folder, *network, "--class", 3, status=1)


@pytest.mark.parametrize("what", ["ppl", "norms"])
def test_measure_command(what: str) -> None:
    arguments = ["measure", what, "--network", str(DATA / "sg2-skip.pkl"), "--samples", "4"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert ": mean " in result.output
    refused = CliRunner().invoke(main, [*arguments[:3], str(DATA / "pg.pkl")])
    assert refused.exit_code == 1
    assert "ProGAN has no W" in refused.output
