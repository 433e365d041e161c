"""Where and how precisely pictures are drawn."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

from stylegan_torch.fast.precision import card_float32

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def best_device() -> str:
    """Return "cuda" (NVIDIA or ROCm), "mps" (Apple) or "cpu", the first that is there."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usable_device(name: str) -> str:
    """Return the name of a device.

    Raises:
        ValueError: if there is no such device here.
    """
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # unknown, not built in, holds no data
        raise ValueError(f"there is no device {name} here") from error
    return name


def exact_float32() -> AbstractContextManager[None]:
    """Return a context in which NVIDIA cards don't round the inputs of float32 products, as `card_float32` has it."""
    return card_float32(tf32=False)


def has_fast_form(device: str | torch.device) -> bool:
    """Tell whether pictures are drawn faster by the fast form; on Apple's GPUs that was never measured."""
    return torch.device(device).type in ("cpu", "cuda")


def has_float64(device: str | torch.device) -> bool:
    """Tell whether a device computes in float64; Apple's GPUs don't."""
    return torch.device(device).type != "mps"


def in_float64(x: Tensor) -> Tensor:
    """Return numbers in float64, on the CPU if their device has none."""
    return (x if has_float64(x.device) else x.cpu()).double()


def hardware(device: str) -> str:
    """Return what kind of machine draws on a device, such as "cpu x86_64 AVX512": pictures of others may differ."""
    if torch.device(device).type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{torch.device(device).type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def drawing_threads(count: int | None) -> Iterator[None]:
    """Have PyTorch compute with so many threads on the CPU until the block ends; None = as it does."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
