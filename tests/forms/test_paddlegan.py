"""PaddleGAN's StyleGAN2: rosinality's but for dense weights, in a pickle of numpy arrays."""

from __future__ import annotations

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.errors import ConvertError
from converter.reading import open_source
from tests import DATA
from tests.tools.wrappings import assert_close, there_and_back

ROSINALITY = DATA / "community" / "rosinality_sg2_train_010000.pt"
KEYS = {"gen": "g", "gen_ema": "g_ema", "disc": "d"}
DENSE = r"style\.\d+\.weight|.*\.modulation\.weight|final_linear\.\d\.weight"


class _Named:
    """A tensor as the program pickles it inside a dict: `tuple((name, array))`."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        return tuple, (("parameter_0", self.array),)


def _rosinality() -> dict[str, Any]:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return dict(torch.load(ROSINALITY, weights_only=True))


def _content() -> dict[str, dict[str, Any]]:
    """The networks as arrays of PaddleGAN's layout."""
    content = _rosinality()

    def array(name: str, value: torch.Tensor) -> Any:
        return np.ascontiguousarray(value.numpy().T if re.fullmatch(DENSE, name) else value.numpy())

    return {key: {name: array(name, v) for name, v in content[old].items()} for key, old in KEYS.items()}


def _write(path: Path, content: Any, named: bool = True) -> Path:
    """Write a file as that program does; `named` as inside of dicts."""

    def stored(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stored(part) for key, part in value.items()}
        return _Named(value) if named and isinstance(value, np.ndarray) else value

    path.write_bytes(pickle.dumps(stored(content), protocol=4))
    return path


def _check(checkpoint: Any) -> None:
    theirs = converter.load(ROSINALITY)
    D = theirs.network("D")
    z, images = torch.randn(2, 16), torch.randn(4, 3, *D.img_size)
    for role in ("G_ema", "G"):
        assert checkpoint.networks[role].config == theirs.networks[role].config
        assert torch.equal(checkpoint.network(role)(z, truncation_psi=0.5), theirs.network(role)(z, truncation_psi=0.5))
    assert torch.equal(checkpoint.network("D")(images), D(images))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("named", [True, False])
def test_it_is_the_network_of_the_same_values(named: bool, suffix: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "stylegan2.pdparams", {**_content(), "iteration": 5}, named)
    _check(there_and_back(path, tmp_path / f"ours{suffix}"))


def test_it_draws_what_the_other_program_drew_of_these_values(tmp_path: Path) -> None:
    G = converter.load(_write(tmp_path / "a.pdparams", _content())).network()
    with np.load(DATA / "community" / "rosinality_sg2_train_010000.npz") as arrays:
        assert_close(G(torch.from_numpy(arrays["z"])), arrays["img_buffers"])


def test_a_generator_alone_and_in_half_precision(tmp_path: Path) -> None:
    state = {f"module.{name}": value.astype(np.float16) for name, value in _content()["gen_ema"].items()}
    names = {name: f"parameter_{i}" for i, name in enumerate(state)}
    path = _write(tmp_path / "a.pdparams", {**state, "StructuredToParameterName@@": names}, named=False)
    half, full = (converter.load(file).networks["G_ema"] for file in (path, ROSINALITY))
    assert half.config == full.config
    name = "mapping.fc0.weight"
    assert torch.equal(half.state_dict[name], full.state_dict[name].half().float())


def _square(state: dict[str, Any]) -> dict[str, Any]:
    """A generator of 4x4 pictures, which has only square dense weights."""
    return {n: v for n, v in state.items() if not re.match(r"(convs|to_rgbs)\.|noises\.noise_[1-9]", n)}


def test_if_no_shape_tells_numpy_arrays_do(tmp_path: Path) -> None:
    paddle = _write(tmp_path / "a.pdparams", {"gen_ema": _square(_content()["gen_ema"])})
    torch.save({"g_ema": _square(_rosinality()["g_ema"])}, tmp_path / "b.pt")
    source: Any = open_source(paddle)
    assert source.networks["G_ema"].form == "paddlegan-stylegan2"
    assert any("dense weights are taken as [in, out]" in note for note in source.notes)
    z = torch.randn(2, 16)
    assert torch.equal(converter.load(paddle).network()(z), converter.load(tmp_path / "b.pt").network()(z))


def test_shapes_tell_before_arrays_do(tmp_path: Path) -> None:
    content = {key: {name: v.numpy() for name, v in _rosinality()[old].items()} for key, old in KEYS.items()}
    source: Any = open_source(_write(tmp_path / "arrays.pkl", content))
    assert {network.form for network in source.networks.values()} == {"rosinality-stylegan2"}
    turned = {
        key: {name: torch.from_numpy(value) for name, value in state.items()} for key, state in _content().items()
    }
    torch.save(turned, tmp_path / "turned.pt")
    _check(converter.load(tmp_path / "turned.pt"))


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        ("gen_ema", {"style.1.bias": None}, "variable style.1.bias is missing"),
        ("gen_ema", {"style.2.weight": np.zeros((16, 5), np.float32)}, r"style.2.weight has shape \[16, 5\]"),
        ("disc", {"final_linear.0.weight": np.zeros((7, 32), np.float32)}, r"final_linear.0.weight has shape \[7, 32"),
        ("gen_ema", {"other.weight": np.zeros(1, np.float32)}, "variable other.weight is unknown"),
    ],
)
def test_what_is_not_sound_is_named(key: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    state = {name: value for name, value in {**_content()[key], **changes}.items() if value is not None}
    with pytest.raises(ConvertError, match=message):
        converter.load(_write(tmp_path / "broken.pdparams", {key: state}))
