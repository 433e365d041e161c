"""Where and how precisely pictures are drawn."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

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
    """Return a context in which NVIDIA cards don't round the inputs of float32 convolutions to 10 bits.

    They do by default, and it shows in 8-bit pictures.
    """
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
