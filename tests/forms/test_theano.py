"""ProGAN of the Theano era: a flat list of nameless parameters, each with a scale of its own (docs/spec/TF.md 1.6).

`official.theano_networks` gives such networks together with the version-2 ones that the TensorFlow release would make
of them; the float64 oracle evaluates the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.forms.tensorflow.theano import REQUIRED
from stylegan_torch.networks import progan
from tests.tools import oracle
from tests.tools.official import State, theano_networks, write_theano_pickle
from tests.tools.theano_cases import CASES, case_id


def assert_close(actual: torch.Tensor, expected: np.ndarray[Any, Any]) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual.numpy() - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_pictures_and_scores_are_those_of_the_converted_networks(case: dict[str, Any], tmp_path: Path) -> None:
    theano, converted = theano_networks(5, **case)
    write_theano_pickle(tmp_path / "net.pkl", theano)
    checkpoint = converter.load(tmp_path / "net.pkl")
    rng = np.random.RandomState(1)
    for role, state in zip(("G", "D", "G_ema"), converted, strict=True):
        network = checkpoint.network(role)
        if role != "D":
            z = rng.randn(3, network.z_dim)
            assert_close(network(torch.from_numpy(z).float()), oracle.generator(state, z)[1])
            continue
        # Groups have 16 members, so each of these batches is one.
        for n in (1, 3, 4):
            images = rng.randn(n, network.img_channels, network.img_resolution, network.img_resolution)
            verdict = oracle.discriminator(state, images)
            scores, labels = network(torch.from_numpy(images).float(), return_labels=True)
            assert_close(scores, verdict.scores)
            assert labels.shape == verdict.label_logits.shape == (n, 0)


def test_generator_and_its_average_differ(tmp_path: Path) -> None:
    write_theano_pickle(tmp_path / "net.pkl", theano_networks(5)[0])
    checkpoint = converter.load(tmp_path / "net.pkl")
    z = torch.ones(1, checkpoint.network("G").z_dim)
    assert not torch.allclose(checkpoint.network("G")(z), checkpoint.network("G_ema")(z))


def test_options_are_read(tmp_path: Path) -> None:
    write_theano_pickle(tmp_path / "net.pkl", theano_networks(5, lod=1.5)[0])
    checkpoint = converter.load(tmp_path / "net.pkl")
    G, D = checkpoint.networks["G_ema"].config, checkpoint.networks["D"].config
    assert isinstance(G, progan.GeneratorConfig)
    assert isinstance(D, progan.DiscriminatorConfig)
    assert (G.weight_scale, G.lod, G.img_resolution, G.channels) == ("stored", 1.5, 16, (16, 16, 16))
    assert (D.weight_scale, D.lod, D.pool_first, D.mbstd_group_size) == ("stored", 1.5, False, 16)


# Round trip.


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_parameter_comes_back_bit_for_bit(case: dict[str, Any], tmp_path: Path) -> None:
    theano, _ = theano_networks(5, **case)
    write_theano_pickle(tmp_path / "net.pkl", theano)
    converter.convert(tmp_path / "net.pkl", tmp_path / "net.pt")
    converter.convert(tmp_path / "net.pt", tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        for prefix, state in zip(("G", "D", "Gs"), theano, strict=True):
            names = [name for name in arrays.files if name.startswith(f"{prefix}/")]
            stored = [*state["param_values"], *state["toplevel_params"].values()]
            assert len(names) == len(stored)
            for name, value in zip(names, stored, strict=True):
                assert arrays[name].shape == value.shape, name
                assert arrays[name].tobytes() == value.tobytes(), name


def test_parameters_are_named_after_their_layers(tmp_path: Path) -> None:
    theano, _ = theano_networks(5, resolution=8)
    write_theano_pickle(tmp_path / "net.pkl", theano)
    converter.convert(tmp_path / "net.pkl", tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        scopes = [name.removesuffix("/weight") for name in arrays.files if name.endswith("/weight")]
        assert {"Gs/4x4/Dense/scale", "Gs/4x4/Dense/bias", "Gs/cur_lod", "D/gdrop_strength"} <= set(arrays.files)
    generator = ["4x4/Dense", "4x4/Conv", "8x8/Conv0", "8x8/Conv1", "ToRGB_lod0", "ToRGB_lod1"]
    discriminator = ["FromRGB_lod0", "8x8/Conv0", "8x8/Conv1", "FromRGB_lod1", "4x4/Conv", "4x4/Dense0", "4x4/Dense1"]
    expected = {"G": generator, "Gs": generator, "D": discriminator}
    for prefix, layers in expected.items():
        assert [scope.removeprefix(f"{prefix}/") for scope in scopes if scope.startswith(f"{prefix}/")] == layers


# What cannot be read.

VIOLATIONS: dict[str, Any] = {
    "label_size": 10,
    "use_batchnorm": True,
    "tanh_at_end": True,
    "mbstat_func": "Tmean",
    "mbstat_avg": "spatial",
    "mbdisc_kernels": 100,
    "use_layernorm": True,
}


def write_changed(path: Path, index: int, change: Callable[[State], object]) -> Path:
    """G, D and Gs, one of which was changed."""
    theano, _ = theano_networks(5)
    change(theano[index])
    write_theano_pickle(path, theano)
    return path


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("keyword", VIOLATIONS)
def test_keywords_that_ask_for_more_are_named(keyword: str, index: int, tmp_path: Path) -> None:
    value = VIOLATIONS[keyword]
    path = write_changed(tmp_path / "net.pkl", index, lambda state: state["build_func_spec"].update({keyword: value}))
    function = ("G_paper", "D_paper")[index]
    with pytest.raises(converter.ConvertError, match=f"{function}: keyword {keyword} is {value!r}"):
        converter.load(path)


def test_all_such_keywords_are_tried() -> None:
    assert set(VIOLATIONS) == set(REQUIRED)


@pytest.mark.parametrize("index", [0, 1])
def test_keywords_may_be_absent(index: int, tmp_path: Path) -> None:
    def drop(state: State) -> None:
        for keyword in REQUIRED:
            del state["build_func_spec"][keyword]

    with_keywords = converter.load(write_changed(tmp_path / "with.pkl", index, lambda state: None))
    without = converter.load(write_changed(tmp_path / "without.pkl", index, drop))
    for role, network in with_keywords.networks.items():
        assert without.networks[role].config == network.config


def test_dropout_of_the_discriminator_does_not_matter(tmp_path: Path) -> None:
    path = write_changed(tmp_path / "net.pkl", 1, lambda state: state["build_func_spec"].update(use_gdrop=True))
    plain = write_changed(tmp_path / "plain.pkl", 1, lambda state: None)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(converter.load(path).network("D")(images), converter.load(plain).network("D")(images))


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [
        (0, lambda state: state["build_func_spec"].update(func="G_mine"), "unknown build function G_mine"),
        (0, lambda state: state["build_func_spec"].update(resolution=20), "keyword resolution is 20"),
        (0, lambda state: state["param_values"].pop(), "G_paper has 26 parameters where 27 belong"),
        (1, lambda state: state["param_values"].append(np.zeros(3, np.float32)), "D_paper has .* parameters where"),
        (1, lambda state: state["toplevel_params"].update(speed=np.zeros(1, np.float32)), "variable speed is unknown"),
        (0, lambda state: state["param_values"].insert(0, state["param_values"].pop(3)), "variable 4x4/Dense/weight"),
    ],
)
def test_other_networks_are_refused(index: int, change: Callable[[State], object], words: str, tmp_path: Path) -> None:
    with pytest.raises(converter.ConvertError, match=words):
        converter.load(write_changed(tmp_path / "net.pkl", index, change))
