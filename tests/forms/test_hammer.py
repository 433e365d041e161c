"""Files of Hammer: its StyleGAN2 draws what that program drew; StyleGAN by its names; both are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import converter
from converter.errors import ConvertError
from converter.forms.hammer.write import to_hammer
from converter.reading import open_source
from stylegan_torch.commands.convert import main
from stylegan_torch.files.checkpoint import Checkpoint
from tests import DATA
from tests.tools.wrappings import WRAPPINGS, assert_close, halved, there_and_back

HAMMER = DATA / "wild" / "hammer" / "hammer_stylegan2.pth"
PROGAN = DATA / "community" / "genforce_pggan32.pth"


def _content() -> dict[str, Any]:
    return dict(torch.load(HAMMER, weights_only=True))


def _smooth() -> dict[str, torch.Tensor]:
    return dict(_content()["models"]["generator_smooth"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_it_draws_what_its_program_drew(suffix: str, tmp_path: Path) -> None:
    checkpoint = there_and_back(HAMMER, tmp_path / f"ours{suffix}")
    with np.load(HAMMER.with_name("stylegan2.npz")) as arrays:
        z = torch.from_numpy(arrays["z"])
        for role in ("G_ema", "G"):  # the same in this file
            G = checkpoint.network(role)
            assert_close(G.mapping(z), arrays["ws"])
            assert_close(G(z), arrays["image"])


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wherever_it_stands(wrapping: str, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](_smooth()), tmp_path / "wrapped.pth")
    z = torch.randn(2, 32)
    assert torch.equal(converter.load(tmp_path / "wrapped.pth").network()(z), converter.load(HAMMER).network()(z))


def test_half_precision(tmp_path: Path) -> None:
    torch.save(halved(_content()), tmp_path / "half.pth")
    half, full = (converter.load(path).networks["G_ema"] for path in (tmp_path / "half.pth", HAMMER))
    assert half.config == full.config
    name = "synthesis.b8.conv0.weight"
    assert torch.equal(half.state_dict[name], full.state_dict[name].half().float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthesis.layer3.style.bias": None}, "variable synthesis.layer3.style.bias is missing"),
        ({"synthesis.layer3.weight": torch.zeros(32, 31, 3, 3)}, r"layer3.weight has shape \[32, 31, 3, 3\]"),
        ({"w_avg": torch.zeros(2, 32)}, r"variable w_avg has shape \[2, 32\]"),
        ({"synthesis.layer3.filter": torch.ones(4, 4)}, "layer3.filter is not the filter of the other levels"),
        ({"synthesis.layer3.other": torch.zeros(1)}, "variable synthesis.layer3.other is unknown"),
        ({"mapping.label_weight": torch.zeros(5, 16)}, "it has 5 classes, and what Hammer does with them"),
        ({"synthesis.early_layer.frequency": torch.zeros(5, 2)}, "is of Hammer's StyleGAN3"),
    ],
)
def test_what_is_not_sound_is_named(changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path) -> None:
    state = {name: value for name, value in {**_smooth(), **changes}.items() if value is not None}
    torch.save({"models": {"generator_smooth": state}}, tmp_path / "broken.pth")
    with pytest.raises(ConvertError, match=message):
        converter.load(tmp_path / "broken.pth")


def test_its_progan_is_that_of_genforce(tmp_path: Path) -> None:
    torch.save({"models": torch.load(PROGAN, weights_only=True), "running_metadata": {}}, tmp_path / "progan.pth")
    theirs, expected = open_source(tmp_path / "progan.pth"), open_source(PROGAN)
    for role, network in expected.networks.items():
        assert theirs.networks[role].header == network.header  # type: ignore[union-attr]
        assert set(theirs.networks) == {"G_ema", "G", "D"}


def test_no_file_of_genforce_is_taken_for_one_of_hammer() -> None:
    for name in ("genforce_stylegan2_64", "genforce_stylegan32_label"):
        networks: Any = open_source(DATA / "community" / f"{name}.pth").networks
        assert {network.form for network in networks.values()} == {"genforce"}


def test_a_discriminator_is_passed_over_with_a_note(tmp_path: Path) -> None:
    D = {"input0.weight": torch.zeros(1), "layer1.weight": torch.zeros(1), "layer1.filter": torch.zeros(1)}
    torch.save({"models": {"discriminator": {**D, "lod": torch.zeros(())}, "generator": _smooth()}}, tmp_path / "a.pth")
    result = CliRunner().invoke(main, [str(tmp_path / "a.pth"), str(tmp_path / "a.pt")])
    assert (result.exit_code, "discriminator" in result.stderr) == (0, True), result.stderr


# The way out.


@pytest.mark.parametrize("record", [True, False])
def test_format_hammer_gives_the_file_back(record: bool) -> None:
    checkpoint = converter.load(HAMMER)
    content, notes = to_hammer(checkpoint if record else Checkpoint(checkpoint.networks))
    assert notes == []
    for key, state in _content()["models"].items():
        assert set(content["models"][key]) == set(state)
        assert all(torch.equal(content["models"][key][name], value) for name, value in state.items())


@pytest.mark.parametrize("name", ["sg1", "sg1-fused", "sg2-skip", "ada"])
def test_official_networks_in_format_hammer(name: str, tmp_path: Path) -> None:
    target = tmp_path / "theirs.pth"
    result = CliRunner().invoke(main, [str(DATA / f"{name}.pkl"), str(target), "--format", "hammer"])
    assert "D is left out: what Hammer calls its tensors is not known here" in result.stderr
    assert ("no picture of that program was compared" in result.stderr) == name.startswith("sg1")
    ours, theirs = converter.load(DATA / f"{name}.pkl"), there_and_back(target, tmp_path / "again.pt")
    for role in ("G_ema", "G"):
        a, b = ours.network(role), theirs.network(role)
        z = torch.randn(2, a.z_dim)
        assert_close(b(z, truncation_psi=0.7), a(z, truncation_psi=0.7))


def test_what_its_stylegan_calls_noise(tmp_path: Path) -> None:
    converter.convert(DATA / "sg1.pkl", tmp_path / "theirs.pth", format="hammer")
    state = torch.load(tmp_path / "theirs.pth", weights_only=True)["models"]["generator_smooth"]
    width = len(state["synthesis.layer0.bias"])
    assert state["synthesis.layer0.noise_strength"].shape == (1, width, 1, 1)
    assert state["synthesis.layer0.noise"].shape == (1, 1, 4, 4)
    assert state["synthesis.layer2.filter"].shape == (1, 1, 3, 3)
    assert state["w_avg"].ndim == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sg3t_64.pkl", "network G has no place in format hammer: it is of the family stylegan3"),
        ("pg.pkl", "it is of the family progan"),
        ("sg2-cond.pkl", "it has 3 classes"),
        ("sg2-orig.pkl", "its architecture is orig, not skip"),
        ("nonsquare/sky-3x5.pkl", r"its base_size is \[3, 5\], and there only \[4, 4\]"),
        ("community/yuuho_stylegan2_ndarray.pkl", 'its image_upsampling is "bilinear", and there only "filter"'),
    ],
)
def test_what_it_cannot_hold_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=reason):
        converter.convert(DATA / name, tmp_path / "theirs.pth", format="hammer")
    assert list(tmp_path.iterdir()) == []
