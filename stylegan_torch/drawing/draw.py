"""Drawing pictures: for seeds the way each release's own script does, and of latents."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from stylegan_torch.drawing.devices import DTYPES, exact_float32
from stylegan_torch.drawing.images import Picture, save_png, to_pil, to_uint8
from stylegan_torch.drawing.marks import MARKED, Marking
from stylegan_torch.drawing.seeds import latents_from_seeds, noise_from_seeds
from stylegan_torch.drawing.sheets import Sheet
from stylegan_torch.drawing.truncation import Truncation, mapped
from stylegan_torch.errors import NoAverageError, NoClassError
from stylegan_torch.fast import optimize
from stylegan_torch.fast.choices import HALF
from stylegan_torch.fast.memory import batch_for
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.interface import Discriminator, Generator

_AHEAD = 2
"""Pictures that may wait to be written while others are drawn."""


@dataclass(frozen=True)
class DrawSettings:
    """How to draw.

    truncation_psi, truncation_cutoff: None = the network's own.
    class_index: the class of a conditional network; None = an all-zero label.
    noise_mode: "official" (what the release's script does for a seed), "const", "random" (not repeatable) or "none".
    dtype: a name in `DTYPES`; the half types hold for synthesis only.
    translate, rotate: of StyleGAN3's images, to the right and down in picture heights, and in degrees. Without them its
        images are drawn upright, whatever transform the file has, as the release's script does.
    truncation: instead of psi and cutoff.
    tf32: let the fast form round in float32 on a card, as `optimize` has it.
    """

    truncation_psi: float | None = None
    truncation_cutoff: int | None = None
    class_index: int | None = None
    noise_mode: str = "official"
    dtype: str = "float32"
    translate: tuple[float, float] | None = None
    rotate: float | None = None
    truncation: Truncation | None = None
    tf32: bool = False


Resolved = TypedDict(
    "Resolved",
    {
        "noise_mode": str,
        "dtype": str,
        "tf32": bool,
        "class": int,
        "translate": tuple[float, float],
        "rotate": float,
        "truncation_psi": float,
        "truncation_cutoff": int | None,
        "truncation_psis": list[float],
        "truncation_centres": str,
    },
    total=False,
)
"""What a picture depends on, by the names in its metadata; without what the network doesn't have."""


def resolve(G: Generator, settings: DrawSettings) -> Resolved:
    """Return the settings a picture depends on, with the network's own values where they are None.

    Raises:
        ValueError: if they ask for something the network doesn't have.
    """
    resolved: Resolved = {"noise_mode": settings.noise_mode, "dtype": settings.dtype}
    if settings.tf32:
        resolved["tf32"] = True
    if settings.class_index is not None:
        check_class(G, settings.class_index)
        resolved["class"] = settings.class_index
    if isinstance(G.config, stylegan3.GeneratorConfig):
        resolved["translate"], resolved["rotate"] = settings.translate or (0.0, 0.0), settings.rotate or 0.0
    elif settings.translate is not None or settings.rotate is not None:
        raise ValueError("only StyleGAN3's images can be moved and turned")
    if not G.has_w:
        if settings.truncation_psi not in (None, 1.0) or settings.truncation_cutoff is not None:
            raise ValueError("ProGAN has no truncation")
        return resolved
    if settings.truncation:
        resolved["truncation_psis"] = list(settings.truncation.psis)
        if settings.truncation.centres:
            resolved["truncation_centres"] = settings.truncation.centres.name
        elif G.mapping.w_avg is None:
            raise NoAverageError
        return resolved
    psi, cutoff = truncation_of(G, settings.truncation_psi, settings.truncation_cutoff)
    if psi != 1 and G.mapping.w_avg is None:
        raise NoAverageError
    resolved["truncation_psi"], resolved["truncation_cutoff"] = psi, cutoff
    return resolved


def truncation_of(G: Generator, psi: float | None = None, cutoff: int | None = None) -> tuple[float, int | None]:
    """Return psi and cutoff with the own values of a network with W, its release's, where they are None."""
    config = G.config
    return config.truncation_psi if psi is None else psi, config.truncation_cutoff if cutoff is None else cutoff


def check_class(network: Generator | Discriminator, class_index: int) -> None:
    """Raise NoClassError if a network has no such class."""
    if not 0 <= class_index < network.c_dim:
        raise NoClassError(class_index, network.c_dim)


def labels_of(network: Generator | Discriminator, class_index: int | None, count: int) -> Tensor:
    """Return labels [count, c_dim] of one class, all zeros without.

    Raises:
        NoClassError: if the network has no such class.
    """
    c = torch.zeros(count, network.c_dim)
    if class_index is not None:
        check_class(network, class_index)
        c[:, class_index] = 1
    return c


def noise_sizes(G: Generator) -> list[tuple[int, int]]:
    """Return the (height, width) of a generator's noise maps, in layer order."""
    return [(stored.shape[0], stored.shape[1]) for stored in G.synthesis.noise_buffers()] if G.has_w else []


def official_noise(G: Generator, seeds: Sequence[int]) -> list[Tensor]:
    """Return the noise maps that the release's script draws for seeds; none if it takes the stored ones."""
    return noise_from_seeds(seeds, G.z_dim, noise_sizes(G)) if G.config.official_noise == "seeded" else []


def write_pictures(
    pictures: Iterable[tuple[int, Picture]],
    paths: Mapping[int, Path],
    *,
    about: Mapping[str, object],
    sheet: Sheet | None = None,
    marking: Marking = MARKED,
) -> Iterator[int]:
    """Write pictures as PNG files while the next ones are drawn; yields each seed whose picture is in hand.

    Args:
        pictures: what `draw` yields.
        paths: where to, by seed; files there are replaced.
        about: what they say of themselves, besides the seed.
        sheet: gets the pictures too.
        marking: how they are marked.

    Raises:
        StyleGANError: if a file cannot be written, or not be signed.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as encoder:
        for seed, picture in pictures:
            save = partial(save_png, paths[seed], to_pil(picture), {"seed": seed, **about}, marking=marking, force=True)
            waiting.append(encoder.submit(save))
            if sheet:
                sheet.add(picture)
            while len(waiting) > _AHEAD:
                waiting.popleft().result()
            yield seed
        while waiting:
            waiting.popleft().result()


@torch.inference_mode()
def draw(
    G: Generator,
    seeds: Sequence[int],
    settings: DrawSettings | None = None,
    *,
    batch: int | None = None,
    device: str | torch.device = "cpu",
    fast: bool = False,
) -> Iterator[tuple[int, Picture]]:
    """Yield each seed with its picture, as the official scripts write it.

    Args:
        G: a generator of this package.
        seeds: which pictures.
        settings: how to draw them.
        batch: pictures drawn at once, by default what fits a card, 1 elsewhere; a matter of speed and memory only.
        device: where to draw. The network itself is moved there, to float64 if the settings say so, and gets their
            transform.
        fast: draw with the network's fast form.

    Raises:
        ValueError: if the settings ask for something the network doesn't have.
    """
    settings = settings or DrawSettings()
    resolved = resolve(G, settings)
    dtype = DTYPES[resolved["dtype"]]
    half = dtype in HALF
    G = G.to(device) if half else G.to(device, dtype)
    if fast and dtype != torch.float64:
        G = optimize(G, dtype, tf32=settings.tf32)
    if "translate" in resolved:
        set_transform(G, resolved["translate"], resolved["rotate"])
    batch = batch_for(G, batch if len(seeds) > 1 else 1)
    for start in range(0, len(seeds), batch):
        some = seeds[start : start + batch]
        z = latents_from_seeds(some, G.z_dim).to(device, torch.float32 if half else dtype)
        c = labels_of(G, resolved.get("class"), len(some)).to(z)
        psi, cutoff = resolved.get("truncation_psi", 1.0), resolved.get("truncation_cutoff")
        latents = mapped(G, z, c, psi=psi, cutoff=cutoff, truncation=settings.truncation) if G.has_w else z
        mode, noise = resolved["noise_mode"], list[Tensor]()
        if mode == "official":
            mode, noise = "const", official_noise(G, some)
        precision = torch.autocast(torch.device(device).type, dtype) if half and not fast else nullcontext()
        with precision:
            images = synthesize(G, latents, c=c, noise=noise, noise_mode=mode)
        yield from zip(some, to_uint8(images, G.rounding).numpy(), strict=True)


@torch.inference_mode()
def draw_latents(
    G: Generator,
    latents: Tensor,
    *,
    c: Tensor | None = None,
    noise: Sequence[Tensor] = (),
    noise_mode: str = "const",
    batch: int | None = None,
) -> Iterator[Picture]:
    """Yield the pictures of latents, drawn where the generator is; the arguments are those of `synthesize`.

    `batch` pictures are drawn at once, by default what fits a card, 1 elsewhere.
    """
    at_once = batch_for(G, batch if len(latents) > 1 else 1)
    for some, labels, maps in _parts(latents, c, noise, at_once):
        images = synthesize(G, some, c=labels, noise=maps, noise_mode=noise_mode)
        yield from to_uint8(images, G.rounding).numpy()


def _parts(
    latents: Tensor, c: Tensor | None, noise: Sequence[Tensor], size: int
) -> Iterator[tuple[Tensor, Tensor | None, list[Tensor]]]:
    """Yield so many latents at a time, with their labels and noise."""
    for start in range(0, len(latents), size):
        some = slice(start, start + size)
        maps = [each if len(each) == 1 else each[some] for each in noise]
        yield latents[some], None if c is None else c[some], maps


def set_transform(G: Generator, translate: tuple[float, float] = (0.0, 0.0), rotate: float = 0.0) -> None:
    """Move and turn what a generator of StyleGAN3 draws, as `DrawSettings` has it; of others, nothing changes."""
    if G.has_w and isinstance(G.synthesis, stylegan3.SynthesisNetwork):
        G.synthesis.input.transform.copy_(stylegan3.image_transform(translate, rotate))


def synthesize(
    G: Generator,
    latents: Tensor,
    *,
    c: Tensor | None = None,
    noise: Sequence[Tensor] = (),
    noise_mode: str = "const",
) -> Tensor:
    """Return the images [N, C, H, W] of latents, drawn where the generator is, as exactly as float32 is there.

    They are drawn at once, or in parts if a card has no room for that.

    Args:
        G: a generator, in its plain or fast form.
        latents: ws [N, num_ws, w_dim], or z [N, z_dim] of a network without W.
        c: labels [N, c_dim] of z; ws know theirs.
        noise: explicit noise [1 or N, 1, H, W], one a noisy layer.
        noise_mode: "const" (stored maps), "random" or "none", where no noise is given.
    """
    device, at_once = G.device, batch_for(G, max(len(latents), 1))
    if len(latents) > at_once:
        parts = _parts(latents, c, noise, at_once)
        return torch.cat([synthesize(G, x, c=labels, noise=maps, noise_mode=noise_mode) for x, labels, maps in parts])
    with exact_float32():
        if not G.has_w:
            return G(latents.to(device), None if c is None else c.to(device))
        maps = [each.to(device) for each in noise]
        return G.synthesis(latents.to(device), noise_mode=noise_mode, noise=maps or None)
