"""lucidrains' generators against what their own program drew, and back to their own tensors, bit for bit."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.reading import open_source
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.drawing.images import to_pil, to_uint8
from stylegan_torch.editing.directions import sefa
from stylegan_torch.editing.latents import from_seeds
from stylegan_torch.editing.mixing import layers_of
from stylegan_torch.editing.projection import Projection, ProjectionSettings
from stylegan_torch.errors import StyleGANError
from stylegan_torch.fast import optimize
from stylegan_torch.training.start import Plan, start
from tests import DATA
from tests.tools.there_and_back import comes_back

FILE = DATA / "wild" / "lucidrains" / "model_100.pt"


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(FILE, weights_only=True)
    return loaded


def saved(tensors: object, path: Path) -> Path:
    torch.save(tensors, path)
    return path


def arrays() -> dict[str, Tensor]:
    with np.load(FILE.with_name("plain.npz")) as loaded:
        return {name: torch.from_numpy(loaded[name]) for name in loaded}


def small(img_channels: int = 3, dense: bool = False) -> dict[str, Tensor]:
    """A state dict of a network of 8×8, made of the first two levels, the second of which is the last."""
    tensors = {name: value for name, value in content()["GAN"].items() if int(_level(name)) < 2}
    del tensors["GE.blocks.1.to_rgb.upsample.1.f"]
    for level in (0, 1):
        name = f"GE.blocks.{level}.to_rgb.conv.weight"
        tensors[name] = tensors[name].repeat(2, 1, 1, 1)[:img_channels]
    if dense:
        del tensors["GE.initial_block"]
        tensors["GE.to_initial_block.weight"] = torch.randn(32, 64, 4, 4)
    return tensors


def _level(name: str) -> str:
    return name.split(".")[2] if name.startswith("GE.blocks.") else "0"


def test_the_picture_is_the_programs() -> None:
    G, expected = converter.load(FILE).network(), arrays()
    assert (G.num_ws, G.img_size, G.image_range) == (5, (64, 64), (0.0, 1.0))
    assert float((G.mapping(expected["z"]) - expected["ws"]).abs().max()) <= 1e-4
    noise = [expected["noise"].permute(0, 3, 1, 2)]
    for network in (G, optimize(G)):
        assert float((network(expected["z"], noise=noise) - expected["image"]).abs().max()) <= 1e-4


def test_pictures_are_saved_as_torchvision_does() -> None:
    images = torch.tensor([-0.5, 0.0, 0.499 / 255, 0.5 / 255, 0.5, 1.0, 1.1]).reshape(1, 1, 1, 7)
    assert to_uint8(images, "unit").flatten().tolist() == [0, 0, 0, 1, 128, 255, 255]
    G = converter.load(FILE).network()
    z = torch.from_numpy(np.random.RandomState(3).randn(1, 32).astype(np.float32))
    expected = (G(z, truncation_psi=0.75).clamp(0, 1) * 255 + 0.5).byte()[0].permute(1, 2, 0).numpy()
    [(_, picture)] = draw(G, [3])
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize("dense", [False, True])
def test_tensors_come_back(dense: bool, tmp_path: Path) -> None:
    path = saved(small(dense=dense) if dense else content(), tmp_path / "model.pt")
    expected = comes_back(path).networks["G_ema"]
    for suffix in (".pt", ".npz"):
        converter.convert(path, tmp_path / f"ours{suffix}")
        network = converter.load(tmp_path / f"ours{suffix}").networks["G_ema"]
        assert network.config == expected.config
        assert all(torch.equal(network.state_dict[name], value) for name, value in expected.state_dict.items())
    config: Any = expected.config
    assert config.const_input != dense
    assert converter.load(path).network()(torch.randn(2, 32)).shape[1:] == (3, *config.img_size)


def test_raw_and_averaged_are_told_apart(tmp_path: Path) -> None:
    averaged = small()
    raw = {name.replace("E.", ".", 1): value + 0.01 for name, value in averaged.items() if not name.endswith(".f")}
    raw |= {name.replace("E.", ".", 1): value for name, value in averaged.items() if name.endswith(".f")}
    other = {"D.blocks.0.conv_res.weight": torch.zeros(4, 3, 1, 1)}
    path = saved({"GAN": OrderedDict({**raw, **averaged, **other}), "version": "1.8.9"}, tmp_path / "model.pt")
    checkpoint = converter.load(path)
    assert list(checkpoint.networks) == ["G_ema", "G"]
    assert torch.equal(checkpoint.networks["G_ema"].state_dict["mapping.fc0.bias"], averaged["SE.net.0.bias"])
    assert torch.equal(checkpoint.networks["G"].state_dict["mapping.fc0.bias"], raw["S.net.0.bias"])
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    assert "GAN.D of the training passed over" in source.notes
    alone = converter.load(saved(raw, tmp_path / "raw.pt"))
    assert list(alone.networks) == ["G_ema"]


@pytest.mark.parametrize("wrapped", ["flat", "module", "half"])
def test_wrapped_files_read_the_same(wrapped: str, tmp_path: Path) -> None:
    tensors = content()["GAN"]
    if wrapped == "half":
        tensors = {name: value.half().float() for name, value in tensors.items()}
    written = {
        "flat": tensors,
        "module": {"state_dict": {f"module.{name}": value for name, value in tensors.items()}},
        "half": {"GAN": {name: value.half() for name, value in tensors.items()}, "version": "1.0"},
    }[wrapped]
    plain = converter.load(saved({"GAN": tensors}, tmp_path / "plain.pt")).networks["G_ema"]
    other = converter.load(saved(written, tmp_path / "other.pt")).networks["G_ema"]
    assert other.config == plain.config
    assert all(torch.equal(other.state_dict[name], value) for name, value in plain.state_dict.items())


def _without(name: str) -> dict[str, Tensor]:
    return {key: value for key, value in small().items() if key != name}


BROKEN = {
    "blocks.1.to_noise2.bias is missing": lambda: _without("GE.blocks.1.to_noise2.bias"),
    "to_rgb.upsample.1.f is missing": lambda: _without("GE.blocks.0.to_rgb.upsample.1.f"),
    "is not the filter [1, 2, 1]": lambda: small() | {"GE.blocks.0.to_rgb.upsample.1.f": torch.ones(3)},
    "variable SE.net.2.weight has shape [31, 32]": lambda: small() | {"SE.net.2.weight": torch.ones(31, 32)},
    "variable SE.net.0.weight is missing": lambda: {k: v for k, v in small().items() if not k.startswith("SE.")},
    "GE.attns.1.fn.to_q.weight: its linear attention": lambda: small() | {"GE.attns.1.fn.to_q.weight": torch.ones(4)},
    "variable GE.fq_layers.0 is unknown": lambda: small() | {"GE.fq_layers.0": torch.ones(4)},
    "without its mapping network": lambda: {k.removeprefix("GE."): v for k, v in small().items()},
}


@pytest.mark.parametrize("words", BROKEN)
def test_broken_files_are_refused_by_name(words: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError) as error:
        converter.load(saved(BROKEN[words](), tmp_path / "broken.pt"))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_what_the_file_lacks_is_made_and_told(tmp_path: Path) -> None:
    summary = converter.convert(FILE, tmp_path / "ours.pt")
    assert any("average w; that of 2000 z" in note for note in summary.notes)
    assert any("noise map" in note for note in summary.notes)
    G = converter.load(tmp_path / "ours.pt").network()
    noise = G.synthesis.noise_buffers()[0]
    assert 0 <= float(noise.min()) < 0.01
    assert 0.99 < float(noise.max()) <= 1
    many = G.mapping(torch.randn(20_000, G.z_dim))[:, 0]
    assert G.mapping.w_avg is not None
    assert float(((G.mapping.w_avg - many.mean(dim=0)) / (many.std(dim=0) / 2000**0.5)).abs().max()) < 5


def test_a_multiplier_can_be_said(tmp_path: Path) -> None:
    converter.convert(FILE, tmp_path / "ours.pt", assumed={"lr_multiplier": 0.01})
    config: Any = converter.load(tmp_path / "ours.pt").network().config
    assert config.mapping.lr_multiplier == 0.01


def test_transparent_pictures_have_four_channels(tmp_path: Path) -> None:
    G = converter.load(saved(small(img_channels=4), tmp_path / "rgba.pt")).network()
    [(_, picture)] = draw(G, [0])
    assert picture.shape == (8, 8, 4)
    to_pil(picture).save(tmp_path / "rgba.png")
    with Image.open(tmp_path / "rgba.png") as image:
        assert image.mode == "RGBA"


def test_noise_is_one_uniform_map_for_all_layers(tmp_path: Path) -> None:
    G = converter.load(saved(small(), tmp_path / "small.pt")).network()
    ws = from_seeds(G, [0]).ws
    assert torch.equal(G.synthesis(ws, noise=[torch.zeros(1, 1, 8, 8)]), G.synthesis(ws, noise_mode="none"))
    assert not torch.equal(G.synthesis(ws, noise_mode="random"), G.synthesis(ws, noise_mode="random"))
    normal = torch.randn(1, 1, 8, 8)
    uniform = G.synthesis.noise_of(normal)
    assert 0 < float(uniform.min()) < float(uniform.max()) < 1
    torch.testing.assert_close(G.synthesis.normal_of(uniform), normal)
    with pytest.raises(ValueError, match="1 noisy layers"):
        G.synthesis(ws, noise=[normal, normal])


def test_editing_knows_its_layers(tmp_path: Path) -> None:
    G = converter.load(FILE).network()
    assert [layers_of(G, name) for name in ("coarse", "middle", "fine")] == [[0, 1], [2, 3], [4]]
    assert sefa(G, 3, layers=[4]).vectors.shape == (3, 32)


def test_it_is_projected_into() -> None:
    G = converter.load(FILE).network()
    target = G.signed(G.synthesis(from_seeds(G, [5], truncation_psi=1.0).ws))[0]
    projection = Projection(G, target, ProjectionSettings(steps=8, learning_rate=0.001))  # its w are small
    first = projection.step()
    while not projection.done:
        last = projection.step()
    assert last < first
    [noise] = projection.latents().noise
    assert 0 <= float(noise.min()) < float(noise.max()) <= 1


@pytest.mark.parametrize("format", ["genforce", "rosinality", "stylegan3"])
def test_other_forms_have_no_place_for_it(format: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="format"):
        converter.convert(FILE, tmp_path / "x.pt", format=format)


def test_it_is_not_trained(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "pictures", tmp_path / "run", network="x.pt", fresh_d=True)
    with pytest.raises(StyleGANError, match="not trained"):
        start(plan, lambda name: converter.load(FILE))


def test_settings_of_other_families_are_refused() -> None:
    with pytest.raises(ValueError, match="StyleGAN3"):
        next(draw(converter.load(FILE).network(), [0], DrawSettings(rotate=10.0)))
