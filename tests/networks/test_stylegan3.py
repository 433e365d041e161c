"""StyleGAN3: the geometry of the published networks, filters, transforms, and the way through our formats."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.reading import open_source
from stylegan_torch.commands.generate import main
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.networks import registry as networks
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.stylegan2 import MappingConfig
from tests import DATA

CASES = ["sg3t_64", "sg3r_64"]
MAPPING = MappingConfig(z_dim=512, c_dim=0, w_dim=512, num_layers=2)
R = {"conv_kernel": 1, "use_radial_filters": True, "channel_base": 65536, "channel_max": 1024}

# Sizes and feature maps of the layers of the published networks (docs/spec/SG3_LAYERS.md 1 to 3).
NAMES = {
    ("t", 1024): "36_512 36_512 52_512 52_512 84_512 148_512 148_512 276_323 276_203 532_128 1044_81 1044_51 1044_32 "
    "1024_32 1024_3",
    ("t", 256): "36_512 36_512 36_512 52_512 52_512 84_512 84_512 148_512 148_512 148_362 276_256 276_181 276_128 "
    "256_128 256_3",
    ("r", 1024): "36_1024 36_1024 52_1024 52_1024 84_1024 148_1024 148_1024 276_645 276_406 532_256 1044_161 1044_102 "
    "1044_64 1024_64 1024_3",
    ("r", 512): "36_1024 36_1024 52_1024 52_1024 84_1024 84_1024 148_1024 148_967 276_645 276_431 532_287 532_192 "
    "532_128 512_128 512_3",
}
PADS = {
    "t": {(2, 9, 8), (4, -6, -9), (2, -11, -12), (1, 0, 0)},
    "r": {(2, 11, 10), (4, -2, -5), (2, -9, -10), (1, 0, 0)},
}


@pytest.mark.parametrize(("kind", "side"), NAMES)
def test_published_networks_have_their_layers(kind: str, side: int) -> None:
    config = stylegan3.GeneratorConfig(MAPPING, side, 3, **(R if kind == "r" else {}))  # type: ignore[arg-type]
    specs = stylegan3.layer_specs(config)
    assert [spec.name for spec in specs] == [f"L{i}_{name}" for i, name in enumerate(NAMES[kind, side].split())]
    assert {(spec.up, *spec.pad_x) for spec in specs} == PADS[kind]
    assert all(spec.pad_x == spec.pad_y for spec in specs)
    assert [spec.is_critical for spec in specs] == [i >= 12 for i in range(15)]


@pytest.mark.parametrize("case", CASES)
def test_designed_filters_are_the_stored_ones(case: str) -> None:
    loaded = converter.load(DATA / f"{case}.pkl").networks["G_ema"]
    fresh = networks.build(loaded.config).state_dict()
    assert list(fresh) == list(loaded.state_dict)
    for name, value in fresh.items():
        if name.endswith("_filter"):
            torch.testing.assert_close(value, loaded.state_dict[name], atol=1e-8, rtol=1e-6)


@given(st.integers(2, 40), st.floats(0.05, 0.45), st.floats(0.02, 1.0), st.floats(1, 1000), st.booleans())
@settings(max_examples=60)
def test_filters_sum_to_one_and_are_symmetric(
    taps: int, cutoff: float, width: float, rate: float, radial: bool
) -> None:
    assume(not radial or taps % 2 == 0)
    f = stylegan3.design_filter(taps, cutoff=cutoff * rate, width=width * rate, rate=rate, radial=radial)
    assert f is not None
    assert f.shape == ((taps, taps) if radial else (taps,))
    assert float(f.double().sum()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(f, f.flip(*range(f.ndim)))
    if radial:
        torch.testing.assert_close(f, f.t())


def test_a_filter_passes_what_is_below_its_cutoff_and_stops_what_is_above() -> None:
    f = stylegan3.design_filter(48, cutoff=8.0, width=4.0, rate=64.0)
    assert f is not None
    n = torch.arange(48) - 23.5
    gains = [float((f * torch.cos(2 * math.pi * frequency / 64 * n)).sum()) for frequency in (0.0, 4.0, 12.0, 20.0)]
    assert gains == pytest.approx([1, 1, 0, 0], abs=0.02)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-360, 360))
def test_the_transform_undoes_what_the_image_shall_do(x: float, y: float, degrees: float) -> None:
    inverse = stylegan3.image_transform((x, y), degrees).double().numpy()
    angle = math.radians(degrees)
    moved = np.array([[math.cos(angle), math.sin(angle), x], [-math.sin(angle), math.cos(angle), y], [0, 0, 1]])
    np.testing.assert_allclose(inverse @ moved, np.eye(3), atol=1e-5)


def test_a_fresh_network_draws() -> None:
    config = stylegan3.GeneratorConfig(
        MappingConfig(z_dim=8, c_dim=2, w_dim=8, num_layers=2, embed_dim=8, layer_dim=8), 32, 3, 256, 16
    )
    torch.manual_seed(0)
    G = networks.build(config)
    z, c = torch.randn(2, 8), torch.eye(2)
    images = G(z, c)
    assert images.shape == (2, 3, 32, 32)
    assert 0.001 < float(images.detach().std()) < 10
    torch.testing.assert_close(G(z[:1], c[:1]), images[:1], atol=1e-3, rtol=1e-3)
    torch.autograd.backward(images.square().sum())
    assert all(parameter.grad is not None for parameter in G.parameters())


@pytest.mark.parametrize("fast", [False, True])
def test_moving_moves(fast: bool) -> None:
    G = converter.load(DATA / "sg3r_64.pkl").network("G_ema")
    [(_, still)] = draw(G, [1], fast=fast)
    [(_, moved)] = draw(G, [1], DrawSettings(translate=(0.25, -0.125)), fast=fast)
    shifted = np.abs(moved[8:40, 24:56].astype(int) - still[16:48, 8:40]).mean()
    assert shifted < 3 < np.abs(moved[8:40, 24:56].astype(int) - still[8:40, 24:56]).mean()


@pytest.mark.parametrize("fast", [False, True])
def test_turning_turns(fast: bool) -> None:
    G = converter.load(DATA / "sg3r_64.pkl").network("G_ema")
    [(_, still)] = draw(G, [1], fast=fast)
    [(_, turned)] = draw(G, [1], DrawSettings(rotate=90), fast=fast)
    middle = slice(16, 48)
    difference = np.abs(np.rot90(still)[middle, middle].astype(int) - turned[middle, middle]).mean()
    assert difference < 3 < np.abs(still[middle, middle].astype(int) - turned[middle, middle]).mean()


def test_the_command_moves_and_turns(tmp_path: Path) -> None:
    options = ["--seeds", "1", "--translate", "0.25,-0.125", "--rotate", "30", "--outdir", str(tmp_path)]
    result = CliRunner().invoke(main, ["--network", str(DATA / "sg3t_64.pkl"), *options])
    assert result.exit_code == 0, result.output
    G = converter.load(DATA / "sg3t_64.pkl").network("G_ema")
    [(_, expected)] = draw(G, [1], DrawSettings(translate=(0.25, -0.125), rotate=30), fast=True)
    with Image.open(tmp_path / "seed0001.png") as image:
        assert np.array_equal(np.asarray(image), expected)
        assert '"rotate": 30.0' in image.info["stylegan-torch"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rotate", "30"], "only StyleGAN3's images can be moved and turned"),
        (["--translate", "0.1"], "'0.1' is not two numbers such as 0.1,-0.2"),
        (["--translate", "a,b"], "'a' is not a finite number"),
    ],
)
def test_wrong_transforms(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--seeds", "1", *options, "--outdir", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_files_of_ours_lead_back_to_the_same_tensors(case: str, suffix: str, tmp_path: Path) -> None:
    source = open_source(DATA / f"{case}.pkl")
    assert isinstance(source, ForeignFile)
    converter.convert(DATA / f"{case}.pkl", tmp_path / f"net{suffix}")
    converter.convert(tmp_path / f"net{suffix}", tmp_path / "back.npz", force=True)
    with np.load(tmp_path / "back.npz") as back:
        for role, network in source.networks.items():
            for name, value in network.tensors.items():
                assert back[f"{role}/{name}"].tobytes() == value.contiguous().numpy().tobytes()


@pytest.mark.parametrize("case", CASES)
def test_format_stylegan3_is_the_official_state_dict(case: str, tmp_path: Path) -> None:
    source = open_source(DATA / f"{case}.pkl")
    assert isinstance(source, ForeignFile)
    converter.convert(DATA / f"{case}.pkl", tmp_path / "ours.safetensors")
    summary = converter.convert(tmp_path / "ours.safetensors", tmp_path / "theirs.pth", format="stylegan3")
    state, original = torch.load(tmp_path / "theirs.pth", weights_only=True), source.networks["G_ema"].tensors
    assert set(state) == set(original)
    assert all(torch.equal(state[name], value) for name, value in original.items())
    assert [note[:13] for note in summary.notes if "augment" not in note] == ["G is left out", "D is left out"]


def test_format_stylegan3_holds_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="format stylegan3 holds a G_ema of StyleGAN3, and there is none"):
        converter.convert(DATA / "sg2-skip.pkl", tmp_path / "theirs.pt", format="stylegan3")
    assert list(tmp_path.iterdir()) == []
