"""How many pictures fit a card at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan_torch.networks.interface import Generator

MOST = 32
"""Pictures that are drawn at once unless somebody asks for more: larger batches gain nothing."""
_SHARE = 0.7
"""Of the free memory; the rest is for what convolutions need besides, and for gaps."""
_WEAK: Any = StorageWeakRef
_KNOWN: WeakKeyDictionary[nn.Module, int | None] = WeakKeyDictionary()


def batch_for(G: Generator, wanted: int | None = None) -> int:
    """Return how many pictures to draw at once: as many as wanted, fewer where a card has no room for them.

    Where nothing is wanted, that is what fits a card, up to `MOST`, and 1 elsewhere.
    """
    features = None if wanted == 1 or G.device.type != "cuda" else bytes_a_picture(G)
    if features is None:
        return wanted or 1
    return min(wanted or MOST, batch_that_fits(free_bytes(G.device), (G.img_channels, *G.img_size), features))


def batch_that_fits(free: int, size: Sequence[int], features: int) -> int:
    """Return how many pictures fit, at least 1.

    Args:
        free: bytes of memory that are free.
        size: channels, height and width of a picture, of which there are three on the way to 8 bits.
        features: bytes of a picture's feature maps at the worst moment.
    """
    channels, height, width = size
    return max(int(free * _SHARE) // (features + 3 * 4 * channels * height * width), 1)


def free_bytes(device: torch.device) -> int:
    """Return how much of a card's memory is free, what PyTorch keeps for itself included."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def bytes_a_picture(G: Generator) -> int | None:
    """Return the bytes that a picture's feature maps take at the worst moment, where batches are drawn at once.

    The network itself says so: it draws two pictures on the meta device, where tensors have sizes and nothing in them.
    None if it cannot, because of layers that somebody put in.
    """
    if G not in _KNOWN:
        try:
            _KNOWN[G] = _measured(_ghost(G))
        except (RuntimeError, TypeError):
            _KNOWN[G] = None
    return _KNOWN[G]


@torch.inference_mode()
def _measured(ghost: Generator) -> int:
    latents = torch.empty((2, ghost.num_ws, ghost.w_dim) if ghost.has_w else (2, ghost.z_dim), device="meta")
    with _Peak() as peak:
        ghost.synthesis(latents) if ghost.has_w else ghost(latents)
    return peak.bytes // 2


def _ghost(G: Generator) -> Generator:
    """Return a copy of a generator that has nothing in its tensors, and that nobody looks into."""
    kept: dict[int, Any] = {}
    for value in (*G.parameters(), *G.buffers()):
        empty = torch.empty_like(value, device="meta")
        kept[id(value)] = nn.Parameter(empty, requires_grad=False) if isinstance(value, nn.Parameter) else empty
    ghost = copy.deepcopy(G, kept)
    for module in ghost.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return ghost


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what lives of the results of operations; `bytes` is the most there was."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._living: dict[Any, int] = {}
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                self._living[_WEAK(storage)] = storage.nbytes()
        self._living = {each: size for each, size in self._living.items() if not each.expired()}
        self.bytes = max(self.bytes, sum(self._living.values()))
        return result
