"""Networks of public forks whose pictures are not square, against what their own programs computed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import converter
from converter.cli import main as convert_command
from converter.errors import ConvertError
from converter.opening import open_source
from converter.pages import export_network
from converter.source import Source
from converter.stylegan2_pages import base_size
from stylegan_torch.checkpoint import Checkpoint
from stylegan_torch.cli import main as generate_command

DATA = Path(__file__).parent / "data" / "nonsquare"
SIZES = {
    "sky-3x5": (24, 40),
    "eps-3x5": (24, 40),
    "eps-ada-3x5": (24, 40),
    "human-sg2": (64, 32),
    "human-sg3r": (64, 32),
}


@cache
def _case(name: str) -> tuple[Checkpoint, dict[str, np.ndarray[Any, Any]]]:
    with np.load(DATA / f"{name}.npz") as arrays:
        return converter.load(DATA / f"{name}.pkl"), dict(arrays)


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], image: bool = True) -> None:
    limit = 1e-4 if image else 1e-4 * max(1.0, float(np.abs(expected).max()))
    assert actual.shape == expected.shape
    assert float(np.abs(actual.numpy() - expected).max()) <= limit


@pytest.mark.parametrize("name", SIZES)
def test_generator_and_discriminator(name: str) -> None:
    checkpoint, arrays = _case(name)
    G, D, z = checkpoint.network("G_ema"), checkpoint.network("D"), torch.from_numpy(arrays["z"])
    assert G.img_size == D.img_size == SIZES[name]
    assert G.img_resolution == D.img_resolution == max(SIZES[name])
    _close(G.mapping(z), arrays["w"], image=False)
    _close(G(z), arrays["img"])
    _close(G(z, truncation_psi=0.7), arrays["img_psi0.7"])
    _close(G(z, truncation_psi=0.5, truncation_cutoff=4), arrays["img_psi0.5_cut4"])
    _close(G.synthesis(torch.from_numpy(arrays["w_mixed"])), arrays["img_w_mixed"])
    if "img_none" in arrays:
        _close(G(z, noise_mode="none"), arrays["img_none"])
    _close(checkpoint.network("G")(z, truncation_psi=0.7), arrays["img_G"])
    images = torch.from_numpy(arrays["img"])
    _close(D(images), arrays["d_scores"], image=False)
    _close(D(images[:3]), arrays["d_scores_batch3"], image=False)


@pytest.mark.parametrize("name", ["sky-3x5", "human-sg2", "human-sg3r"])
def test_official_pictures_of_seeds(name: str, tmp_path: Path) -> None:
    _, arrays = _case(name)
    for key in (key for key in arrays if key.startswith("seed") and key.endswith("uint8")):
        seed, psi = key.removeprefix("seed").removesuffix("_uint8").split("_psi")
        options = ["--network", DATA / f"{name}.pkl", "--seeds", seed, "--truncation", psi, "--outdir", tmp_path]
        result = CliRunner().invoke(generate_command, [str(option) for option in options])
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / f"seed{int(seed):04d}.png") as image:
            difference = np.asarray(image).astype(int) - arrays[key][0]
        assert np.abs(difference).max() <= 1
        assert np.mean(difference == 0) >= 0.999


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("name", SIZES)
def test_back_to_the_original_tensors(name: str, suffix: str, tmp_path: Path) -> None:
    source = open_source(DATA / f"{name}.pkl")
    assert isinstance(source, Source)
    converter.convert(DATA / f"{name}.pkl", tmp_path / f"ours{suffix}")
    ours = converter.load(tmp_path / f"ours{suffix}")
    for role, network in source.networks.items():
        back = export_network(role, ours.networks[role], ours.provenance["networks"][role]).tensors
        assert list(back) == list(network.tensors)
        assert all(torch.equal(back[key], value) for key, value in network.tensors.items())


def test_inspect_tells_the_size() -> None:
    result = CliRunner().invoke(convert_command, ["--inspect", str(DATA / "sky-3x5.pkl")])
    assert "24x40x3" in result.output


@pytest.mark.parametrize(
    ("keywords", "size"),
    [
        ({}, (4, 4)),
        ({"init_res": [3, 5]}, (3, 5)),
        ({"min_h": 3, "min_w": 5}, (3, 5)),
        ({"min_h": 8}, (8, 4)),
        ({"square": False}, (4, 2)),
        ({"square": True}, (4, 4)),
    ],
)
def test_the_first_level_of_each_fork(keywords: dict[str, Any], size: tuple[int, int]) -> None:
    assert base_size(keywords) == size


@pytest.mark.parametrize("sides", [3, [3], [3, 0], [3, "5"], [3, 5000]])
def test_an_odd_first_level_is_refused(sides: Any) -> None:
    with pytest.raises(ConvertError, match="as the size of the first level"):
        base_size({"init_res": sides})
