"""mmgeneration's networks against what its program computed, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.errors import ConvertError
from stylegan_torch.networks.registry import config_from_json, config_to_json
from tests import DATA
from tests.tools import oracle_community as oracle
from tests.tools.samples import State, mmgen_discriminator, mmgen_progan, mmgen_stylegan3
from tests.tools.there_and_back import comes_back

MMGEN = DATA / "wild" / "mmgen"
STYLEGAN2, STYLEGAN1 = MMGEN / "mmgen_stylegan2_ema_only.pth", MMGEN / "mmgen_stylegan1.pth"
ARRAYS = {STYLEGAN2: MMGEN / "stylegan2.npz", STYLEGAN1: MMGEN / "stylegan1.npz"}
AVERAGE = "generator_ema."


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def _state(path: Path) -> State:
    """The tensors of a generator."""
    content = torch.load(path, weights_only=True)
    return {name.removeprefix(AVERAGE): value for name, value in content.get("state_dict", content).items()}


def _differ(path: Path, arrays: Path, order: int = -1) -> float:
    """How far the pictures of a file are from the program's, whose channels are given in the other order."""
    with np.load(arrays) as of:
        images = converter.load(path).network()(torch.from_numpy(of["z"]))
        return float(np.abs(images.numpy() - of["image"][:, ::order]).max()) / float(np.abs(of["image"]).max())


@pytest.mark.parametrize("path", ARRAYS, ids=["2", "1"])
def test_pictures_are_the_programs(path: Path) -> None:
    assert _differ(path, ARRAYS[path]) <= 1e-4
    with np.load(ARRAYS[path]) as arrays:
        mapped = converter.load(path).network().mapping(torch.from_numpy(arrays["z"]))
        np.testing.assert_allclose(mapped.numpy(), arrays["ws"], atol=1e-4)


@pytest.mark.parametrize("path", ARRAYS, ids=["2", "1"])
def test_the_order_of_channels_is_said(path: Path, tmp_path: Path) -> None:
    assert any("channel_order=rgb" in note for note in converter.inspect(path).notes)
    converter.convert(path, tmp_path / "rgb.pt", assumed={"channel_order": "rgb"})
    assert _differ(tmp_path / "rgb.pt", ARRAYS[path], order=1) <= 1e-4
    with pytest.raises(ConvertError, match="channel_order is 'grb', which is not one of bgr, rgb"):
        converter.convert(path, tmp_path / "other.pt", assumed={"channel_order": "grb"})


@pytest.mark.parametrize("path", ARRAYS, ids=["2", "1"])
def test_tensors_come_back(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(path.read_bytes())
    comes_back(tmp_path / "file.pth")


@pytest.mark.parametrize("path", ARRAYS, ids=["2", "1"])
def test_other_wrappings_are_read_alike(path: Path, tmp_path: Path) -> None:
    state = _state(path)
    training = {
        f"module.{role}.{name}": value for name, value in state.items() for role in ("generator", "generator_ema")
    }
    file = _saved(tmp_path / "training.pth", {"meta": {"iter": 10}, "state_dict": training})
    assert set(converter.load(file).networks) == {"G_ema", "G"}
    assert _differ(file, ARRAYS[path]) <= 1e-4
    half = {name: value.half() for name, value in state.items()}
    full = {name: value.float() for name, value in half.items()}
    low, exact = (converter.load(_saved(tmp_path / "half.pth", part)).networks["G_ema"] for part in (half, full))
    assert all(torch.equal(value, exact.state_dict[name]) for name, value in low.state_dict.items())


BROKEN: list[tuple[Path, str, Any, str]] = [
    (STYLEGAN2, "style_mapping.2.bias", None, "is missing"),
    (STYLEGAN2, "convs.3.noise_injector.weight", torch.zeros(2), r"has shape \[2\]"),
    (STYLEGAN2, "to_rgb1.conv.weight_orig", torch.zeros(3), r"has shape \[3\]"),
    (STYLEGAN1, "convs.2.adain1.affine.bias", None, "is missing"),
    (STYLEGAN1, "convs.2.noise_injector1.weight", torch.zeros(32), r"has shape \[32\]"),
    (STYLEGAN1, "to_rgbs.0.conv.weight_orig", torch.zeros(3), r"has shape \[3\]"),
    (STYLEGAN1, "strange", torch.zeros(1), "is unknown"),
]


@pytest.mark.parametrize(("path", "name", "value", "message"), BROKEN, ids=lambda value: str(value)[-30:])
def test_broken_files_are_refused_in_a_line(path: Path, name: str, value: Any, message: str, tmp_path: Path) -> None:
    state = {key: tensor for key, tensor in (_state(path) | {name: value}).items() if tensor is not None}
    with pytest.raises(ConvertError, match=f"network G_ema: variable {name} {message}"):
        converter.load(_saved(tmp_path / "broken.pth", state))


def test_a_config_tells_of_the_early_activation_only_where_there_is_one() -> None:
    config = converter.load(STYLEGAN1).networks["G_ema"].config
    told = config_to_json(config)
    assert told["activate_before_blur"] is True
    assert config_from_json(json.loads(json.dumps(told))) == config
    assert "activate_before_blur" not in config_to_json(converter.load(DATA / "sg1.pkl").networks["G_ema"].config)


# What there are no samples of.


def test_a_discriminator_is_rosinalitys_under_other_names(tmp_path: Path) -> None:
    theirs = torch.load(DATA / "community" / "rosinality_sg2_convert.pt", weights_only=True)["d"]
    state = mmgen_discriminator(theirs)
    generator = {f"generator_ema.{name}": value for name, value in _state(STYLEGAN2).items()}
    discriminator = {f"discriminator.{name}": value for name, value in state.items()}
    path = _saved(tmp_path / "training.pth", {"meta": {}, "state_dict": generator | discriminator})
    ours = comes_back(path)
    D = converter.load(DATA / "community" / "rosinality_sg2_convert.pt").network("D")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours.network("D")(images.flip(1)), D(images))


def test_progan_draws_by_its_formulas(tmp_path: Path) -> None:
    state = mmgen_progan()
    content = {"meta": {}, "state_dict": {f"generator_ema.{name}": value for name, value in state.items()}}
    G = comes_back(_saved(tmp_path / "progan.pth", content)).network()
    z = torch.randn(3, 12)
    expected = oracle.mmgen_pggan_generator({name: value.numpy() for name, value in state.items()}, z.numpy())
    np.testing.assert_allclose(G(z).numpy(), expected[:, ::-1], atol=1e-4 * np.abs(expected).max())
    del state["conv_blocks.3.conv.bias"]
    with pytest.raises(ConvertError, match=r"variable conv_blocks\.3\.conv\.bias is missing"):
        converter.load(_saved(tmp_path / "broken.pth", state))


def test_stylegan3_is_the_official_module_with_other_names(tmp_path: Path) -> None:
    state = {f"generator_ema.{name}": value for name, value in mmgen_stylegan3().items()}
    file = _saved(tmp_path / "stylegan3.pth", {"meta": {}, "state_dict": state})
    official = converter.load(DATA / "wild" / "official" / "sg3_state_dict_for_stylegan3-editing.pt").network()
    G, z = comes_back(file).network(), torch.randn(2, official.z_dim)
    assert torch.equal(G(z), official(z))
    assert any("StyleGAN3 is read as the official module" in note for note in converter.inspect(file).notes)
    bgr = converter.load(file, assumed={"channel_order": "bgr"}).network()
    assert torch.equal(bgr(z), official(z).flip(1))
