"""What a training would be, told before it begins: settings, data, networks, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from stylegan_torch.networks.interface import AnyNetwork
from stylegan_torch.networks.layers import META_STANDS_FOR
from stylegan_torch.networks.path_lengths import path_lengths
from stylegan_torch.networks.registry import build, count_parameters, kind_of
from stylegan_torch.training.losses import r1_penalty
from stylegan_torch.training.trainer import Trainer

Row = Sequence[str]
_COPIES = 4
"""Of each trained number: itself, its gradient, and two moments of Adam."""
_BYTES = 4


def preview(trainer: Trainer) -> dict[str, list[Row]]:
    """Return what is worth knowing of a trainer, as rows by heading."""
    data, settings = trainer.data, trainer.settings
    shape = data.pictures.shape
    about: list[Row] = [
        ["pictures", f"{len(data)} of {len(data.pictures)}" if data.rows is not None else f"{len(data)}"],
        ["size", f"{shape[3]}×{shape[2]}, {shape[1]} channel{'s' * (shape[1] > 1)}"],
        ["labels", _labels(trainer)],
    ]
    networks: list[Row] = [
        [role, kind_of(network.config)[0], f"{count_parameters(network.config):,} parameters"]  # type: ignore[arg-type]
        for role, network in (("G", trainer.G), ("D", trainer.D))
    ]
    return {
        "settings": [[name, _said(value)] for name, value in asdict(settings).items()],
        "data": about,
        "networks": networks,
        "memory": [[what, f"{size / 2**30:.2f} GiB"] for what, size in memory(trainer).items()],
    }


def _labels(trainer: Trainer) -> str:
    data = trainer.data
    what = f"{data.c_dim} classes" if data.vectors is None else f"vectors of {data.c_dim}"
    used = "" if trainer.G.c_dim else ", not used"
    return (what if data.c_dim else "none") + used * bool(data.c_dim)


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_said, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def memory(trainer: Trainer) -> dict[str, int]:
    """Return an estimate of the bytes that a process needs in float32, without what the allocator and kernels add.

    "numbers" is networks, gradients and moments; "activations" what the largest of a step's parts keeps for its
    gradients, as PyTorch's own graph has it: networks of the same form are run without memory (on the device "meta").
    """
    numbers = _COPIES * (_size(trainer.G) + _size(trainer.D)) + _size(trainer.G_ema)
    activations = max(_kept(trainer).values())
    return {"numbers": numbers, "activations": activations, "together": numbers + activations}


def _size(network: AnyNetwork) -> int:
    return _BYTES * sum(value.numel() for value in network.parameters())


def _kept(trainer: Trainer) -> dict[str, int]:
    """Return the bytes that the parts of a step keep."""
    G, D = (_on_meta(network) for network in (trainer.G, trainer.D))
    at_once = trainer.most_at_once

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, device="meta")

    def fakes(count: int) -> Tensor:
        return G(zeros(count, G.z_dim), zeros(count, G.c_dim))

    def judged(images: Tensor) -> Tensor:
        return D(images, zeros(len(images), D.c_dim) if D.c_dim else None)

    def pictures() -> Tensor:
        return zeros(at_once, D.img_channels, *D.img_size)

    def penalty() -> Tensor:
        reals = pictures().requires_grad_(True)
        return r1_penalty(reals, judged(reals))

    def steps() -> Tensor:
        count = max(at_once // trainer.settings.path_length_shrink, 1)
        ws = G.mapping(zeros(count, G.z_dim), zeros(count, G.c_dim))
        images = G.synthesis(ws)
        return path_lengths(images, ws, torch.zeros_like(images))

    parts: dict[str, Callable[[], object]] = {
        "g": lambda: judged(fakes(at_once)),
        "d": lambda: (judged(pictures()), judged(pictures())),
    }
    if trainer.settings.r1_gamma:
        parts["r1"] = penalty
    if G.has_w and trainer.settings.path_length_weight:
        parts["path"] = steps
    own = [value.untyped_storage()._cdata for network in (G, D) for value in network.parameters()]
    token = META_STANDS_FOR.set(trainer.device.type)
    try:
        return {name: _saved(part, own) for name, part in parts.items()}
    finally:
        META_STANDS_FOR.reset(token)


def _on_meta(network: AnyNetwork) -> Any:
    with torch.device("meta"):
        return build(network.config).to("meta")  # type: ignore[arg-type]


def _saved(run: Callable[[], object], own: Sequence[int]) -> int:
    """Return how many bytes are kept for the gradients of what a function computes, besides storages of its `own`."""
    sizes: dict[int, int] = {}
    alive = []  # so that no address is given out twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        alive.append(storage)
        sizes[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()
    del result
    return sum(size for storage, size in sizes.items() if storage not in own)
