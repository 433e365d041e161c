"""Community networks of which no samples exist: random files with the real names, against the formulas of their
programs, and back to their own tensors, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.errors import ConvertError
from stylegan_torch.networks import progan
from stylegan_torch.networks.registry import assemble
from tests import DATA
from tests.tools import oracle_community as oracle
from tests.tools import oracle_torch
from tests.tools.samples import Filler, State, rosinality_discriminator
from tests.tools.there_and_back import comes_back

COMMUNITY = DATA / "community"


def _arrays(state: State) -> dict[str, Any]:
    return {name: value.numpy() for name, value in state.items()}


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any]) -> None:
    assert actual.shape == expected.shape
    assert float(np.abs(actual.numpy() - expected).max()) <= 1e-4 * max(1.0, float(np.abs(expected).max()))


def _random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.RandomState(7).randn(*shape).astype(np.float32)


# rosinality's StyleGAN.


@pytest.mark.parametrize(("step", "alpha"), [(0, 1.0), (1, 0.4), (2, 1.0), (5, 1.0), (5, 0.3)])
@pytest.mark.parametrize("activated", [True, False])
def test_rosinality_stylegan_discriminator(activated: bool, step: int, alpha: float, tmp_path: Path) -> None:
    state = rosinality_discriminator(activated)
    path = _saved(tmp_path / "train_step-1.model", {"discriminator": state})
    network = comes_back(path, 4 << step).networks["D"]
    config: Any = network.config
    D = assemble(replace(config, lod=1 - alpha), network.state_dict)
    for batch in (8, 3):  # more than one group of an official network, and what does not fill one
        images = _random(batch, 3, 4 << step, 4 << step)
        expected = oracle.rosinality_stylegan_discriminator(_arrays(state), images, step, alpha)
        _close(D(torch.from_numpy(images)), expected)


def test_rosinality_stylegan_training_file(tmp_path: Path) -> None:
    G, running = (torch.load(COMMUNITY / "rosinality_sg1_running_100000.model", weights_only=True) for _ in range(2))
    D = rosinality_discriminator()
    content = {"generator": G, "discriminator": D, "g_optimizer": {}, "d_optimizer": {}, "g_running": running}
    checkpoint = comes_back(_saved(tmp_path / "train_step-4.model", content), 64)
    assert list(checkpoint.networks) == ["G_ema", "G", "D"]
    images = checkpoint.network("G_ema")(torch.randn(2, 16))
    expected = oracle.rosinality_stylegan_discriminator(_arrays(D), images.numpy(), 4)
    _close(checkpoint.network("D")(images), expected)
    assert converter.load(tmp_path / "train_step-4.model").network("D").img_size == (128, 128)
    with pytest.raises(ConvertError, match="network D: has levels to 128x128, and none of 256x256"):
        converter.convert(tmp_path / "train_step-4.model", tmp_path / "more.pt", assumed={"img_resolution": 256})


# genforce's ProGAN with labels.

MAPS = (6, 5, 4)
"""Feature maps of the levels 4², 8², 16²."""


def _pggan_generator(seed: int, fused: bool = False) -> State:
    filler = Filler(seed)
    filler.state["lod"] = torch.zeros(())
    before = 7 + 3  # latents and labels
    for b, width in enumerate(MAPS):
        filler.layer(f"layer{2 * b}", width, before, 4 if b == 0 else 3, 4 if b == 0 else 3)
        if b and fused:
            filler.state[f"layer{2 * b}.weight"] = filler.state[f"layer{2 * b}.weight"].transpose(0, 1).contiguous()
        filler.layer(f"layer{2 * b + 1}", width, width, 3, 3)
        filler.layer(f"output{b}", 3, width, 1, 1)
        before = width
    return filler.state


def _pggan_discriminator(labels: int = 3) -> State:
    filler, top = Filler(3), len(MAPS) - 1
    filler.state["lod"] = torch.zeros(())
    for b in range(top):
        filler.layer(f"input{b}", MAPS[top - b], 3, 1, 1)
        filler.layer(f"layer{2 * b}", MAPS[top - b], MAPS[top - b], 3, 3)
        filler.layer(f"layer{2 * b + 1}", MAPS[top - b - 1], MAPS[top - b], 3, 3)
    filler.layer(f"input{top}", MAPS[0], 3, 1, 1)
    filler.layer(f"layer{2 * top}", MAPS[0], MAPS[0] + 1, 3, 3)
    filler.layer(f"layer{2 * top + 1}", 8, MAPS[0] * 16)
    filler.layer(f"layer{2 * top + 2}", 1 + labels, 8)
    return filler.state


def test_genforce_progan_with_labels(tmp_path: Path) -> None:
    states = {"generator": _pggan_generator(1), "generator_smooth": _pggan_generator(2)}
    D = _pggan_discriminator()
    checkpoint = comes_back(_saved(tmp_path / "pggan.pth", {**states, "discriminator": D}))
    z, labels = _random(3, 7) * 3, np.eye(3, dtype=np.float32)[[2, 0, 1]]
    for role, key in {"G": "generator", "G_ema": "generator_smooth"}.items():
        G = checkpoint.network(role)
        assert (G.z_dim, G.c_dim) == (7, 3)
        images = G(torch.from_numpy(z), torch.from_numpy(labels))
        _close(images, oracle.genforce_pggan_generator(_arrays(states[key]), z, labels))
    ours = checkpoint.network("D")
    assert isinstance(ours, progan.Discriminator)
    score, logits = ours(images, torch.from_numpy(labels), return_labels=True)
    _close(torch.cat([score, logits], dim=1), oracle.genforce_pggan_discriminator(_arrays(D), images.numpy()))


def test_genforce_progan_without_its_discriminator_has_latents_only(tmp_path: Path) -> None:
    checkpoint = comes_back(_saved(tmp_path / "pggan.pth", {"generator_smooth": _pggan_generator(1)}))
    assert (checkpoint.network().z_dim, checkpoint.network().c_dim) == (10, 0)


def test_genforce_progan_with_more_labels_than_inputs_is_refused(tmp_path: Path) -> None:
    content = {"generator": _pggan_generator(1), "discriminator": _pggan_discriminator(labels=10)}
    with pytest.raises(ConvertError, match=r"G_ema: variable layer0\.weight has 10 inputs, .* no latents and 10"):
        converter.load(_saved(tmp_path / "pggan.pth", content))


def test_genforce_progan_with_fused_kernels(tmp_path: Path) -> None:
    state, z = _pggan_generator(1, fused=True), _random(2, 10)
    checkpoint = comes_back(_saved(tmp_path / "pggan.pth", {"generator_smooth": state}))
    expected = oracle.genforce_pggan_generator(_arrays(state), z, z[:, :0], fused=True)
    _close(checkpoint.network()(torch.from_numpy(z)), expected)


# genforce's StyleGAN2-ADA with labels.

_TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def _ada_generator() -> State:
    filler = Filler(1)
    filler.layer("mapping.LabelEmbed", 5, 3)
    filler.layer("mapping.dense0", 9, 7 + 5, std=100.0)
    filler.layer("mapping.dense1", 8, 9, std=100.0)
    filler.add("truncation.w_avg", 8)
    filler.add("synthesis.early_layer.const", 1, MAPS[0], 4, 4)
    filler.state["synthesis.upsample.kernel"] = _TAPS.outer(_TAPS)[None, None] * 4
    for k in range(2 * len(MAPS) - 1):
        layer, width, before = f"synthesis.layer{k}", MAPS[(k + 1) // 2], MAPS[k // 2]
        filler.layer(layer, width, before, 3, 3)
        filler.layer(f"{layer}.style", before, 8)
        filler.add(f"{layer}.noise_strength")
        filler.add(f"{layer}.noise", 1, 1, 4 << (k + 1) // 2, 4 << (k + 1) // 2)
        if k % 2:
            filler.state[f"{layer}.filter.kernel"] = filler.state["synthesis.upsample.kernel"].clone()
    for b, width in enumerate(MAPS):
        filler.layer(f"synthesis.output{b}", 3, width, 1, 1)
        filler.layer(f"synthesis.output{b}.style", width, 8)
    return filler.state


def _ada_discriminator() -> State:
    filler, top = Filler(2), len(MAPS) - 1
    filler.layer("input0", MAPS[top], 3, 1, 1)
    for b in range(top):
        width, after = MAPS[top - b], MAPS[top - b - 1]
        filler.layer(f"layer{2 * b}", width, width, 3, 3)
        filler.layer(f"layer{2 * b + 1}", after, width, 3, 3)
        filler.add(f"skip_layer{b}.weight", after, width, 1, 1)
        for name in (f"layer{2 * b + 1}", f"skip_layer{b}"):
            filler.state[f"{name}.filter.kernel"] = _TAPS.outer(_TAPS)[None, None].clone()
    filler.layer(f"layer{2 * top}", MAPS[0], MAPS[0] + 1, 3, 3)
    filler.layer(f"layer{2 * top + 1}", 8, MAPS[0] * 16)
    filler.layer(f"layer{2 * top + 2}", 10, 8)
    filler.layer("LabelEmbed", 10, 3)
    return filler.state


def test_genforce_stylegan2_ada_with_labels(tmp_path: Path) -> None:
    G_state, D_state = _ada_generator(), _ada_discriminator()
    content = {"generator_smooth": G_state, "discriminator": D_state}
    checkpoint = comes_back(_saved(tmp_path / "ada.pth", content))
    G, D = checkpoint.network("G_ema"), checkpoint.network("D")
    assert (G.z_dim, G.c_dim, G.w_dim, D.c_dim) == (7, 3, 8, 3)
    z, labels = _random(4, 7), np.eye(3, dtype=np.float32)[[2, 0, 1, 1]]
    ada, options = oracle.genforce_stylegan2_as_ada(_arrays(G_state)), {"img_resolution": 16, "c_dim": 3}
    for psi, cutoff in ((1.0, None), (0.6, 3)):
        expected = oracle_torch.generator(
            ada, {**options, "mapping_kwargs": {"num_layers": 2}}, z, labels, psi=psi, cutoff=cutoff
        )
        images = G(torch.from_numpy(z), torch.from_numpy(labels), psi, cutoff)
        _close(G.mapping(torch.from_numpy(z), torch.from_numpy(labels), psi, cutoff), expected[0])
        _close(images, expected[1])
    ada = oracle.genforce_stylegan2_discriminator_as_ada(_arrays(D_state))
    scores = oracle_torch.discriminator(ada, {**options, "mapping_kwargs": {"num_layers": 0}}, images.numpy(), labels)
    _close(D(images, torch.from_numpy(labels)), scores)
