"""InterFaceGAN's generators: the pictures that their program drew, and back to their own tensors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import converter
from converter.errors import ConvertError
from stylegan_torch import fast
from tests import DATA
from tests.tools.there_and_back import comes_back

STYLEGAN, PGGAN = (DATA / f"wild/interfacegan/{name}.pth" for name in ("stylegan", "pggan_fused"))


def _arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path.with_suffix(".npz")) as arrays:
        return {name: torch.from_numpy(value) for name, value in arrays.items()}


def _close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= 1e-4


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_stylegan() -> None:
    arrays, G = _arrays(STYLEGAN), converter.load(STYLEGAN).network()
    _close(G(arrays["z"]), arrays["image"])
    _close(fast.optimize(G)(arrays["z"]), arrays["image"])
    own: dict[str, Any] = {"truncation_psi": G.config.truncation_psi, "truncation_cutoff": G.config.truncation_cutoff}
    _close(G(arrays["z"], **own), arrays["image_default_psi07_cut8"])


def test_progan_with_fused_enlargements() -> None:
    arrays, G = _arrays(PGGAN), converter.load(PGGAN).network()
    _close(G(arrays["z"]), arrays["image"])


def test_progan_with_plain_enlargements(tmp_path: Path) -> None:
    values, fused = torch.load(PGGAN, weights_only=True), converter.load(PGGAN).networks["G_ema"].state_dict
    for level in (1, 2, 3):
        del values[f"layer{2 * level}.weight"]
        values[f"layer{2 * level}.conv.weight"] = fused[f"b{4 << level}.conv0.weight"]
    G, arrays = comes_back(_saved(tmp_path / "plain.pth", values)).network(), _arrays(PGGAN)
    _close(G(arrays["z"]), arrays["image"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("path", [STYLEGAN, PGGAN], ids=lambda path: path.stem)
def test_back_to_their_own_tensors(path: Path, suffix: str, tmp_path: Path) -> None:
    comes_back(Path(shutil.copy(path, tmp_path)), suffix=suffix)


@pytest.mark.parametrize("path", [STYLEGAN, PGGAN], ids=lambda path: path.stem)
def test_wrapped_halves(path: Path, tmp_path: Path) -> None:
    values = torch.load(path, weights_only=True)
    halves = {f"module.{name}": value.half() for name, value in values.items()}
    wrapped = converter.load(_saved(tmp_path / "wrapped.pth", {"state_dict": halves})).networks["G_ema"]
    whole = converter.load(path).networks["G_ema"]
    assert wrapped.config == whole.config
    assert all(torch.equal(wrapped.state_dict[name], value.half().float()) for name, value in whole.state_dict.items())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (STYLEGAN, "mapping.dense0.linear.weight"),
        (STYLEGAN, "mapping.dense2.wscale.bias"),
        (STYLEGAN, "synthesis.output0.conv.weight"),
        (STYLEGAN, "synthesis.layer4.epilogue.style_mod.dense.wscale.bias"),
        (STYLEGAN, "synthesis.layer7.epilogue.apply_noise.noise"),
        (PGGAN, "layer3.conv.weight"),
        (PGGAN, "layer5.wscale.bias"),
        (PGGAN, "output1.wscale.bias"),
    ],
)
def test_what_is_missing_or_misshapen_is_named(path: Path, name: str, tmp_path: Path) -> None:
    values = torch.load(path, weights_only=True)
    value = values.pop(name)
    with pytest.raises(ConvertError, match=f"variable {name} is missing"):
        converter.load(_saved(tmp_path / "broken.pth", values))
    with pytest.raises(ConvertError, match=f"variable {name} has shape"):
        converter.load(_saved(tmp_path / "broken.pth", {**values, name: value[..., None, None, None]}))
