"""BasicSR's StyleGAN2 against what its program computed, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.errors import ConvertError
from tests import DATA
from tests.tools.there_and_back import comes_back

BASICSR = DATA / "wild" / "basicsr"
G, D = BASICSR / "basicsr_stylegan2_official_like.pth", BASICSR / "basicsr_net_d.pth"
Content = dict[str, Any]


def _content(path: Path = G) -> Content:
    content: Content = torch.load(path, weights_only=True)
    return content


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def _differ(path: Path) -> float:
    """How far the pictures of a file are from the program's."""
    with np.load(BASICSR / "basicsr.npz") as arrays:
        images = converter.load(path).network()(torch.from_numpy(arrays["z"]))
        return float(np.abs(images.numpy() - arrays["image"]).max()) / float(np.abs(arrays["image"]).max())


def test_pictures_and_scores_are_the_programs() -> None:
    assert _differ(G) <= 1e-4
    with np.load(BASICSR / "basicsr.npz") as arrays:
        scores = converter.load(D).network("D")(torch.from_numpy(arrays["image"]))
        np.testing.assert_allclose(scores.numpy(), arrays["d_scores"], atol=1e-4)
        mapped = converter.load(G).network().mapping(torch.from_numpy(arrays["z"]))
        np.testing.assert_allclose(mapped.numpy(), arrays["ws"], atol=1e-4)


@pytest.mark.parametrize("path", [G, D], ids=["G", "D"])
def test_tensors_come_back(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(path.read_bytes())
    comes_back(tmp_path / "file.pth")


def test_other_wrappings_are_read_alike(tmp_path: Path) -> None:
    content = _content()
    average, state = content["latent_avg"], content["params_ema"]
    prefixed = {f"module.{name}": value for name, value in state.items()}
    assert _differ(_saved(tmp_path / "a.pth", {"state_dict": prefixed, "latent_avg": average})) <= 1e-4
    half = {name: value.half().float() for name, value in state.items()}
    kept = converter.load(_saved(tmp_path / "b.pth", {"params_ema": {k: v.half() for k, v in half.items()}}))
    for name, value in (
        converter.load(_saved(tmp_path / "c.pth", {"params_ema": half})).networks["G_ema"].state_dict.items()
    ):
        assert torch.equal(value, kept.networks["G_ema"].state_dict[name])


def test_of_a_training_file_the_average_is_drawn(tmp_path: Path) -> None:
    state = _content()["params_ema"]
    path = _saved(tmp_path / "net_g_100.pth", {"params": state, "params_ema": state})
    assert set(converter.load(path).networks) == {"G_ema", "G"}
    assert "the file has no average w; that of 4096 z is taken, as its program does" in converter.inspect(path).notes
    assert _differ(path) <= 1e-4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("style_mlp.2.bias", None, "variable style_mlp.2.bias is missing"),
        ("style_convs.3.weight", torch.zeros(2), r"variable style_convs.3.weight has shape \[2\]"),
        ("to_rgbs.1.modulated_conv.weight", torch.zeros(3), "variable to_rgbs.1.modulated_conv.weight has shape"),
        ("noises.noise3", torch.zeros(1, 1, 8, 8), "variable noises.noise3 has shape"),
        ("strange", torch.zeros(1), "variable strange is unknown"),
    ],
)
def test_broken_files_are_refused_in_a_line(name: str, value: Any, message: str, tmp_path: Path) -> None:
    content = _content()
    state = content["params_ema"] | {name: value}
    content["params_ema"] = {key: tensor for key, tensor in state.items() if tensor is not None}
    with pytest.raises(ConvertError, match=f"network G_ema: {message}"):
        converter.load(_saved(tmp_path / "broken.pth", content))


def test_gfpgan_is_called_by_name(tmp_path: Path) -> None:
    state = {f"stylegan_decoder.{name}": value for name, value in _content()["params_ema"].items()}
    with pytest.raises(ConvertError, match="is of GFPGAN"):
        converter.load(_saved(tmp_path / "GFPGANv1.pth", {"params_ema": state}))


# The way out.


@pytest.mark.parametrize("path", [G, D], ids=["G", "D"])
def test_format_basicsr_gives_the_file_back(path: Path, tmp_path: Path) -> None:
    converter.convert(path, tmp_path / "ours.safetensors")
    converter.convert(tmp_path / "ours.safetensors", tmp_path / "back.pth", format="basicsr")
    back, original = _content(tmp_path / "back.pth"), _content(path)
    assert list(back) == list(original)
    for key, state in original.items():
        for name, value in {"": state}.items() if key == "latent_avg" else state.items():
            assert torch.equal(back[key][name] if name else back[key], value)


def _wide(path: Path) -> Path:
    """A file of rosinality's as wide as the form wants it, with all networks."""
    torch.manual_seed(0)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {"g_ema": {}, "d": {}}
    g, d = shapes.values()
    for i in (1, 2):
        g |= {f"style.{i}.weight": (512, 512), f"style.{i}.bias": (512,)}
    g |= {"input.input": (1, 512, 4, 4), "latent_avg": (512,)}
    for k, conv in enumerate(("conv1", "convs.0", "convs.1")):
        side = 8 if k else 4
        g |= {f"{conv}.conv.weight": (1, 512, 512, 3, 3), f"{conv}.noise.weight": (1,), f"{conv}.activate.bias": (512,)}
        g |= {f"{conv}.conv.modulation.weight": (512, 512), f"{conv}.conv.modulation.bias": (512,)}
        g |= {f"noises.noise_{k}": (1, 1, side, side)}
    for rgb in ("to_rgb1", "to_rgbs.0"):
        g |= {f"{rgb}.conv.weight": (1, 3, 512, 1, 1), f"{rgb}.bias": (1, 3, 1, 1)}
        g |= {f"{rgb}.conv.modulation.weight": (512, 512), f"{rgb}.conv.modulation.bias": (512,)}
    d |= {"convs.0.0.weight": (512, 3, 1, 1), "convs.0.1.bias": (512,)}
    d |= {"convs.1.conv1.0.weight": (512, 512, 3, 3), "convs.1.conv1.1.bias": (512,)}
    d |= {"convs.1.conv2.1.weight": (512, 512, 3, 3), "convs.1.conv2.2.bias": (512,)}
    d |= {"convs.1.skip.1.weight": (512, 512, 1, 1)}
    d |= {"final_conv.0.weight": (512, 513, 3, 3), "final_conv.1.bias": (512,)}
    d |= {"final_linear.0.weight": (512, 8192), "final_linear.0.bias": (512,)}
    d |= {"final_linear.1.weight": (1, 512), "final_linear.1.bias": (1,)}
    filter = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    content = {key: {name: torch.randn(shape) for name, shape in names.items()} for key, names in shapes.items()}
    content["g_ema"] |= {"convs.0.conv.blur.kernel": filter * 4, "to_rgbs.0.upsample.kernel": filter * 4}
    content["d"] |= {"convs.1.conv2.0.kernel": filter, "convs.1.skip.0.kernel": filter}
    return _saved(path, content)


def test_other_networks_draw_the_same_in_format_basicsr(tmp_path: Path) -> None:
    path = _wide(tmp_path / "wide.pt")
    summary = converter.convert(path, tmp_path / "g.pth", format="basicsr")
    assert any("D is left out" in note for note in summary.notes)
    converter.convert(path, tmp_path / "d.pth", networks=["D"], format="basicsr")
    content = _content(tmp_path / "g.pth")
    assert list(content) == ["params_ema", "latent_avg"]
    assert not any(name.endswith("kernel") or name == "latent_avg" for name in content["params_ema"])
    assert list(_content(tmp_path / "d.pth")) == ["params"]
    before, after = converter.load(path), converter.load(tmp_path / "g.pth")
    z, images = torch.randn(2, 512), torch.randn(2, 3, 8, 8)
    assert torch.equal(before.network()(z, truncation_psi=0.5), after.network()(z, truncation_psi=0.5))
    scores = [converter.load(file).network("D")(images) for file in (path, tmp_path / "d.pth")]
    assert torch.equal(*scores)


def test_what_format_basicsr_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = DATA / "community" / "rosinality_sg2_convert.pt"
    with pytest.raises(ConvertError, match="network G_ema has no place in format basicsr: its levels have"):
        converter.convert(path, tmp_path / "out.pth", format="basicsr")
    with pytest.raises(ConvertError, match="format basicsr needs network G_ema, or D alone"):
        converter.convert(path, tmp_path / "out.pth", networks=["G"], format="basicsr")
