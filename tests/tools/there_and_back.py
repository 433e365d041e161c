"""What we make of a file, after a check that its own tensors come out of it again."""

from __future__ import annotations

from pathlib import Path

import torch

import converter
from converter.foreign import ForeignFile
from converter.reading import open_source
from converter.translate import export_network
from stylegan_torch.files.checkpoint import Checkpoint


def comes_back(path: Path, resolution: int | None = None, suffix: str = ".safetensors") -> Checkpoint:
    """Convert a file to ours, and assert that this gives the original tensors back, bit for bit."""
    source, ours = open_source(path), path.with_name(f"ours{suffix}")
    assert isinstance(source, ForeignFile)
    converter.convert(path, ours, assumed={"img_resolution": resolution} if resolution else None, force=True)
    checkpoint = converter.load(ours)
    for role, network in source.networks.items():
        record = checkpoint.provenance["networks"][role]
        back = export_network(role, checkpoint.networks[role], record).tensors
        assert list(back) == list(network.tensors)
        assert all(torch.equal(back[key], value) for key, value in network.tensors.items())
    return checkpoint
