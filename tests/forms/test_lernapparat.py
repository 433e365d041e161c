"""lernapparat's StyleGAN, and huangzh13's after it: their own pictures, their parts, and files that are not whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import converter
from converter.errors import ConvertError
from stylegan_torch import fast
from stylegan_torch.files.checkpoint import StoredNetwork
from stylegan_torch.networks.registry import assemble
from tests import DATA
from tests.tools.samples import first_stage
from tests.tools.there_and_back import comes_back

FLAT = DATA / "wild/lernapparat/for_g_all.pt"
LEVELS = DATA / "wild/huangzh13/GAN_GEN_3_9.pth"
SUFFIXES = (".pt", ".safetensors", ".npz")


def _arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path.with_suffix(".npz")) as arrays:
        return {name: torch.from_numpy(value) for name, value in arrays.items()}


def _values(path: Path) -> dict[str, Tensor]:
    return dict(torch.load(path, weights_only=True))


def _close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= 1e-4


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def _generator(path: Path, **assumed: int) -> Any:
    ours = path.with_name("generator.pt")
    converter.convert(path, ours, assumed=assumed or None, force=True)
    return converter.load(ours).network()


def _with(network: StoredNetwork, **fields: float) -> Any:
    config: Any = network.config
    return assemble(replace(config, **fields), network.state_dict)


def test_the_pictures_of_lernapparat() -> None:
    arrays, G = _arrays(FLAT), converter.load(FLAT).network()
    noise = [arrays[f"noise{k}"] for k in range(G.num_ws)]
    _close(G(arrays["z"], noise_mode="none"), arrays["image"])
    _close(G(arrays["z"], noise=noise), arrays["image_with_noise"])
    _close(fast.optimize(G)(arrays["z"], noise=noise), arrays["image_with_noise"])


def test_the_pictures_of_huangzh13() -> None:
    arrays, G = _arrays(LEVELS), converter.load(LEVELS).network()
    _close(G(arrays["z"], noise_mode="none"), arrays["image"])
    _close(G.get_buffer("mapping.w_avg"), arrays["avg_latent"])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("path", [FLAT, LEVELS], ids=lambda path: path.parent.name)
def test_back_to_their_own_tensors(path: Path, suffix: str, tmp_path: Path) -> None:
    comes_back(Path(shutil.copy(path, tmp_path)), suffix=suffix)


@pytest.mark.parametrize("path", [FLAT, LEVELS], ids=lambda path: path.parent.name)
def test_wrapped_halves(path: Path, tmp_path: Path) -> None:
    halves = {f"module.{name}": value.half() for name, value in _values(path).items()}
    wrapped = converter.load(_saved(tmp_path / "wrapped.pt", {"state_dict": halves})).networks["G_ema"]
    whole = converter.load(path).networks["G_ema"]
    assert wrapped.config == whole.config
    for name, value in whole.state_dict.items():
        if not name.endswith(("noise_const", "w_avg")):
            assert torch.equal(wrapped.state_dict[name], value.half().float())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (FLAT, "g_mapping.dense3.bias"),
        (FLAT, "g_synthesis.torgb.weight"),
        (FLAT, "g_synthesis.blocks.4x4.epi1.style_mod.lin.weight"),
        (FLAT, "g_synthesis.blocks.16x16.conv1.weight"),
        (FLAT, "g_synthesis.blocks.32x32.conv0_up.intermediate.kernel"),
        (LEVELS, "g_mapping.map.dense1.weight"),
        (LEVELS, "g_synthesis.to_rgb.0.weight"),
        (LEVELS, "g_synthesis.to_rgb.2.weight"),
        (LEVELS, "g_synthesis.init_block.bias"),
        (LEVELS, "g_synthesis.blocks.1.epi2.top_epi.noise.weight"),
    ],
)
def test_what_is_missing_or_misshapen_is_named(path: Path, name: str, tmp_path: Path) -> None:
    values = _values(path)
    value = values.pop(name)
    broken = _saved(tmp_path / "broken.pt", values)
    # Without a weight, numbered layers end before it; what is behind is then what the message is about.
    with pytest.raises(
        ConvertError, match=r"variable \S+ (is missing|is unknown|has shape)|which no network"
    ) as caught:
        converter.load(broken)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConvertError, match=rf"variable {name} "):
        converter.load(_saved(broken, {**values, name: value[..., None, None, None]}))


def _halves(values: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the two files that PULSE has of a generator."""
    synthesis = {name.replace(".top_epi.noise.", ".noise."): value for name, value in values.items()}
    parts = [
        {name.removeprefix(part): value for name, value in synthesis.items() if name.startswith(part)}
        for part in ("g_mapping.", "g_synthesis.")
    ]
    return parts[0], parts[1]


def test_half_a_generator_is_refused_and_both_are_one(tmp_path: Path) -> None:
    mapping, synthesis = _halves(_values(FLAT))
    path = tmp_path / "part.pt"
    for name, part, other in (("mapping.pt", mapping, "synthesis.pt"), ("synthesis.pt", synthesis, "mapping.pt")):
        with pytest.raises(ConvertError, match=rf"PULSE's {name}, .* useless without {other}; put both into one file"):
            converter.load(_saved(path, part))
    with pytest.raises(ConvertError, match=r"PULSE's gaussian_fit\.pt"):
        converter.load(_saved(path, {"mean": torch.zeros(64), "std": torch.ones(64)}))
    G = comes_back(_saved(path, {"g_mapping": mapping, "g_synthesis": synthesis})).network()
    arrays = _arrays(FLAT)
    _close(G(arrays["z"], noise_mode="none"), arrays["image"])


@pytest.mark.parametrize("name", ["sg1", "sg1-fused"])
def test_the_first_stage_has_the_official_networks(name: str, tmp_path: Path) -> None:
    ours, theirs = comes_back(_saved(tmp_path / "first.pt", first_stage(name))), converter.load(DATA / f"{name}.pkl")
    assert list(ours.networks) == list(theirs.networks)
    for role, network in theirs.networks.items():
        made = ours.networks[role]
        for key, value in network.state_dict.items():
            assert key.endswith(("noise_const", "w_avg")) or torch.equal(made.state_dict[key], value)
    assert ours.networks["D"].config == theirs.networks["D"].config
    z = torch.randn(2, ours.network().z_dim)
    same = _with(theirs.networks["G_ema"], instance_norm_eps=1e-5)
    assert torch.equal(ours.network()(z, noise_mode="none"), same(z, noise_mode="none"))


def test_levels_that_were_not_trained(tmp_path: Path) -> None:
    path = Path(shutil.copy(LEVELS, tmp_path))
    z, whole, small = (
        _arrays(LEVELS)["z"],
        converter.load(LEVELS).networks["G_ema"],
        _generator(path, img_resolution=16),
    )
    early = _with(whole, lod=1.0)
    assert small.img_size == (16, 16)
    _close(small(z, noise_mode="none"), early(z, noise_mode="none")[:, :, ::2, ::2])
    comes_back(path, resolution=8)
    with pytest.raises(ConvertError, match="has levels to 32x32, and none of 64x64"):
        _generator(path, img_resolution=64)


def test_an_embedding_of_labels_is_the_rest_of_z(tmp_path: Path) -> None:
    values, z = _values(LEVELS), _arrays(LEVELS)["z"]
    embedding = z[:, 256:].clone()
    G = comes_back(_saved(tmp_path / "labels.pth", {**values, "class_embedding.weight": embedding})).network()
    assert (G.z_dim, G.c_dim) == (256, 2)
    _close(G(z[:, :256], torch.eye(2), noise_mode="none"), _arrays(LEVELS)["image"])


def test_blocks_with_blur_are_those_of_lernapparat(tmp_path: Path) -> None:
    values, taps = _values(LEVELS), torch.tensor([1.0, 2.0, 1.0]) / 4
    for block in range(3):
        values[f"g_synthesis.blocks.{block}.conv0_up.intermediate.kernel"] = torch.outer(taps, taps)[None, None]
    names = {"g_mapping.map.": "g_mapping.", "init_block": "blocks.4x4", "to_rgb.3.": "torgb."}
    names |= {f"blocks.{block}.": f"blocks.{8 << block}x{8 << block}." for block in range(3)}
    flat = {}
    for name, value in values.items():
        new = next((name.replace(old, new) for old, new in names.items() if old in name), None)
        flat.update({new: value} if new else {})
    blurred, same = (_generator(_saved(tmp_path / "net.pt", content)) for content in (values, flat))
    z = _arrays(LEVELS)["z"]
    assert torch.equal(blurred(z, noise_mode="none"), same(z, noise_mode="none"))
    _close(fast.optimize(blurred)(z), blurred(z))
    del values["g_synthesis.blocks.1.conv0_up.intermediate.kernel"]
    with pytest.raises(ConvertError, match=r"blocks\.1\.conv0_up\.intermediate\.kernel is missing"):
        _generator(_saved(tmp_path / "net.pt", values))
