"""Drawing pictures for seeds, the way each release's own script does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylegan_torch.drawing.images import ContactSheet, save_png, to_pil, to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds, noise_from_seeds
from stylegan_torch.errors import NoAverageError
from stylegan_torch.fast import optimize
from stylegan_torch.fast.folding import HALF
from stylegan_torch.networks import progan, stylegan3
from stylegan_torch.networks.interface import Generator

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_AHEAD = 2
"""Pictures that may wait to be written while others are drawn."""


@dataclass(frozen=True)
class Style:
    """How to draw.

    truncation_psi, truncation_cutoff: None = the network's own.
    class_index: the class of a conditional network; None = an all-zero label.
    noise_mode: "official" (what the release's script does for a seed), "const", "random" (not repeatable) or "none".
    dtype: a name in `DTYPES`; the half types hold for synthesis only.
    translate, rotate: of StyleGAN3's images, to the right and down in picture heights, and in degrees. Without them its
        images are drawn upright, whatever transform the file has, as the release's script does.
    """

    truncation_psi: float | None = None
    truncation_cutoff: int | None = None
    class_index: int | None = None
    noise_mode: str = "official"
    dtype: str = "float32"
    translate: tuple[float, float] | None = None
    rotate: float | None = None


def resolve(G: nn.Module, style: Style) -> dict[str, Any]:
    """Return the settings a picture depends on, with the network's own values where the style has none.

    Raises:
        ValueError: if the style asks for something the network doesn't have.
    """
    config: Any = G.config
    c_dim: int = config.c_dim
    settings: dict[str, Any] = {"noise_mode": style.noise_mode, "dtype": style.dtype}
    if style.class_index is not None:
        if not 0 <= style.class_index < c_dim:
            known = f"classes 0 to {c_dim - 1}" if c_dim else "no classes"
            raise ValueError(f"there is no class {style.class_index}: this network has {known}")
        settings["class"] = style.class_index
    if isinstance(config, stylegan3.GeneratorConfig):
        settings |= {"translate": style.translate or (0.0, 0.0), "rotate": style.rotate or 0.0}
    elif style.translate is not None or style.rotate is not None:
        raise ValueError("only StyleGAN3's images can be moved and turned")
    if isinstance(config, progan.GeneratorConfig):
        if style.truncation_psi not in (None, 1.0) or style.truncation_cutoff is not None:
            raise ValueError("ProGAN has no truncation")
        return settings
    psi, cutoff = truncation_of(G, style.truncation_psi, style.truncation_cutoff)
    if psi != 1 and getattr(G.mapping, "w_avg", None) is None:
        raise NoAverageError
    return {**settings, "truncation_psi": psi, "truncation_cutoff": cutoff}


def truncation_of(G: Any, psi: float | None = None, cutoff: int | None = None) -> tuple[float, int | None]:
    """Return psi and cutoff with the own values of a network with W, its release's, where they are None."""
    config = G.config
    return config.truncation_psi if psi is None else psi, config.truncation_cutoff if cutoff is None else cutoff


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


def write_pictures(
    pictures: Iterable[tuple[int, np.ndarray[Any, Any]]],
    paths: Mapping[int, Path],
    about: Mapping[str, Any],
    sheet: ContactSheet | None = None,
) -> Iterator[int]:
    """Write pictures as PNG files while the next ones are drawn; yields each seed whose picture is in hand.

    Args:
        pictures: what `draw` yields.
        paths: where to, by seed; files there are replaced.
        about: what they say of themselves, besides the seed.
        sheet: gets the pictures too.

    Raises:
        StyleGANError: if a file cannot be written.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as encoder:
        for seed, picture in pictures:
            image = to_pil(picture)
            waiting.append(encoder.submit(save_png, paths[seed], image, {"seed": seed, **about}, force=True))
            if sheet:
                sheet.add(image)
            while len(waiting) > _AHEAD:
                waiting.popleft().result()
            yield seed
        while waiting:
            waiting.popleft().result()


@torch.inference_mode()
def draw(
    G: Generator,
    seeds: Sequence[int],
    style: Style | None = None,
    batch: int = 1,
    device: str | torch.device = "cpu",
    fast: bool = False,
) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """Yield each seed with its picture, uint8 [H, W, C], as the official scripts write it.

    Args:
        G: a generator of this package.
        seeds: which pictures.
        style: how to draw them.
        batch: pictures drawn at once; a matter of speed and memory only.
        device: where to draw. The network itself is moved there, to float64 if the style says so, and gets the style's
            transform.
        fast: draw with the network's fast form.

    Raises:
        ValueError: if the style asks for something the network doesn't have.
    """
    style = style or Style()
    settings = resolve(G, style)
    dtype = DTYPES[style.dtype]
    G = G.to(device) if dtype in HALF else G.to(device, dtype)
    if fast and dtype != torch.float64:
        G = optimize(G, dtype)
    config: Any = G.config
    rounding = "nearest" if isinstance(G, progan.Generator) else "truncate"
    if isinstance(config, stylegan3.GeneratorConfig):
        synthesis: Any = G.synthesis
        synthesis.input.transform.copy_(stylegan3.image_transform(settings["translate"], settings["rotate"]))
    for start in range(0, len(seeds), batch):
        some = seeds[start : start + batch]
        with exact_float32():
            images = _draw_batch(G, some, settings, dtype, device, fast)
        yield from zip(some, to_uint8(images, rounding).numpy(), strict=True)


def exact_float32() -> AbstractContextManager[None]:
    """Return a context in which NVIDIA cards don't round the inputs of float32 convolutions to 10 bits.

    They do by default, and it shows in 8-bit pictures.
    """
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )


def _draw_batch(
    G: Any, seeds: Sequence[int], settings: dict[str, Any], dtype: torch.dtype, device: str | torch.device, fast: bool
) -> Tensor:
    half = dtype in HALF
    precision = torch.autocast(torch.device(device).type, dtype) if half and not fast else nullcontext()
    dtype = torch.float32 if half else dtype
    z = latents_from_seeds(seeds, G.z_dim).to(device, dtype)
    c = torch.zeros(len(seeds), G.c_dim, device=device, dtype=dtype)
    if "class" in settings:
        c[:, settings["class"]] = 1
    if isinstance(G, progan.Generator):
        with precision:
            return G(z, c)
    ws = G.mapping(z, c, settings["truncation_psi"], settings["truncation_cutoff"])
    mode, noise = settings["noise_mode"], None
    if mode == "official":
        mode = "const"
        if G.config.official_noise == "seeded":
            sizes = [tuple(buffer.shape) for buffer in G.synthesis.noise_buffers()]
            noise = [maps.to(device) for maps in noise_from_seeds(seeds, G.z_dim, sizes)]
    with precision:
        return G.synthesis(ws, noise_mode=mode, noise=noise)
