"""State dicts as people wrap them, and ways of our files there and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import converter
from converter.foreign import ForeignFile
from converter.reading import open_source
from converter.translate import export_network
from stylegan_torch.files.checkpoint import Checkpoint

State = dict[str, torch.Tensor]
WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "bare": lambda state: state,
    "parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "lightning": lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}, "epoch": 3},
}


def assert_close(actual: torch.Tensor, expected: npt.NDArray[Any] | torch.Tensor) -> None:
    """Assert that pictures or scores are the same but for rounding, 1e-4 of their range."""
    wanted = torch.as_tensor(expected)
    assert actual.shape == wanted.shape
    assert float((actual - wanted).abs().max()) <= 1e-4 * max(1.0, float(wanted.abs().max()))


def halved(content: Any) -> Any:
    """Return what a file holds with its tensors in half precision."""
    if isinstance(content, dict):
        return {key: halved(value) for key, value in content.items()}
    return content.half() if isinstance(content, torch.Tensor) else content


def there_and_back(path: Path, ours: Path) -> Checkpoint:
    """Convert a file to ours, and assert that this gives the original tensors back, bit for bit."""
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    converter.convert(path, ours)
    checkpoint = converter.load(ours)
    for role, network in source.networks.items():
        back = export_network(role, checkpoint.networks[role], checkpoint.provenance["networks"][role]).tensors
        assert list(back) == list(network.tensors)
        assert all(np.array_equal(back[name], value, equal_nan=True) for name, value in network.tensors.items())
    return checkpoint
