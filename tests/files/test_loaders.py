"""Every place that opens a file of PyTorch's or numpy's: what a pickle in it would run is not run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
import stylegan_torch
from stylegan_torch.editing import directions, latents, projection
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import checkpoint
from stylegan_torch.networks import registry
from stylegan_torch.proof import reference
from stylegan_torch.training.run import Run
from tests.test_checkpoint import TINY


class Touch:
    """When it is unpickled, a file appears."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def _in_provenance(path: Path, attack: Any) -> None:
    torch.save({"format": "stylegan-torch", "version": 2, "provenance": attack, "networks": {"G": 1}}, path)


def _among_tensors(path: Path, attack: Any) -> None:
    checkpoint.write(path, checkpoint.of_modules({"G_ema": registry.build(TINY)}))
    content = torch.load(path, weights_only=True)
    content["networks"]["G_ema"]["state_dict"]["more"] = attack
    torch.save(content, path)


def _beside_a_snapshot(path: Path, attack: Any) -> None:
    checkpoint.write(path.with_suffix(".pt"), checkpoint.of_modules({"G_ema": registry.build(TINY)}))
    torch.save({"deviation": 1.0, "more": attack}, path)


def _array(path: Path, attack: Any) -> None:
    np.savez(path, ws=np.array([attack], object), stylegan_torch=np.array([attack], object))


def _one_array(path: Path, attack: Any) -> None:
    np.save(path, np.array([attack], object))


def _converted(path: Path) -> object:
    return converter.convert(path, path.with_name("out.pt"))


def _tiny() -> Any:
    return registry.build(TINY)


LOADERS: dict[str, tuple[str, Callable[[Path, Any], None], Callable[[Path], object]]] = {
    "load": ("in.pt", _in_provenance, stylegan_torch.load),
    "read, provenance": ("in.pt", _in_provenance, checkpoint.read),
    "read, tensors": ("in.pt", _among_tensors, checkpoint.read),
    "convert our file": ("in.pt", _among_tensors, _converted),
    "convert a dump": ("in.npz", _array, _converted),
    "resume a projection": ("in.state", _beside_a_snapshot, projection.load_state),
    "resume training": ("network-1.state", _beside_a_snapshot, lambda path: Run(path.parent).load()),
    "a reference": ("in.npz", _array, reference.read_reference),
    "latents": ("in.npz", _array, lambda path: latents.load(path, _tiny())),
    "latents, one array": ("in.npy", _one_array, lambda path: latents.load(path, _tiny())),
    "directions": ("in.npz", _array, lambda path: directions.load(path, _tiny())),
}


def _load_unsafely(path: Path) -> None:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=True) as file:
            _ = file["ws"]
    elif path.suffix == ".npy":
        np.load(path, allow_pickle=True)
    else:
        torch.load(path, weights_only=False)


@pytest.mark.parametrize("loader", LOADERS)
def test_no_code_is_run(loader: str, tmp_path: Path) -> None:
    name, make, load = LOADERS[loader]
    ran, path = tmp_path / "ran", tmp_path / name
    make(path, Touch(ran))
    with pytest.raises(StyleGANError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert not ran.exists()
    _load_unsafely(path)  # the attack is real
    assert ran.exists()


def test_telling_a_file_of_ours_runs_nothing(tmp_path: Path) -> None:
    _in_provenance(tmp_path / "in.pt", Touch(tmp_path / "ran"))
    assert checkpoint.is_ours(tmp_path / "in.pt")
    assert not (tmp_path / "ran").exists()
