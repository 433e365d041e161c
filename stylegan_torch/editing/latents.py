"""Latents that travel: where a picture comes from, in memory and in `.npz` files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.drawing.draw import draw_latents, labels_of, noise_sizes
from stylegan_torch.drawing.images import Picture
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.drawing.truncation import Truncation, mapped
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file
from stylegan_torch.files.npz_record import Array, file_errors, read_npz, write_npz
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash

_FOREIGN_NAMES = ("w", "dlatents")
"""What `projected_w.npz` of the PyTorch releases and `dlatents.npz` of the TensorFlow ones call ws."""
SAMPLES = 10_000
"""Of W, where nobody says otherwise."""
_AT_ONCE = 1000


class LatentsError(StyleGANError):
    """Latents are damaged, or not for this network."""


@dataclass(frozen=True)
class Latents:
    """Where N pictures come from.

    ws: [N, num_ws, w_dim], truncated already.
    z: [N, z_dim], if they come from there; c: [N, c_dim], their labels.
    noise: explicit noise [1 or N, 1, H, W], one a noisy layer; empty = the stored maps.
    seeds, truncation_psi: how ws were made, if that way.
    network: `network_hash` of the generator they are for.
    """

    ws: Tensor
    z: Tensor | None = None
    c: Tensor | None = None
    noise: tuple[Tensor, ...] = ()
    seeds: tuple[int, ...] = ()
    truncation_psi: float | None = None
    network: str | None = None

    def __len__(self) -> int:
        return self.ws.shape[0]

    def with_ws(self, ws: Tensor) -> Latents:
        """Return other ws with this noise, forgetting how these ws were made."""
        return Latents(ws, noise=self.noise, network=self.network)


def require_w(G: Generator) -> None:
    """Raise LatentsError if a generator has no W, as ProGAN's."""
    if not G.has_w:
        raise LatentsError("ProGAN has no W: this needs StyleGAN or later")


def from_seeds(
    G: Generator,
    seeds: Sequence[int],
    truncation_psi: float = 1.0,
    *,
    truncation_cutoff: int | None = None,
    class_index: int | None = None,
    network: str | None = None,
    truncation: Truncation | None = None,
) -> Latents:
    """Return the latents of seeds, as the official scripts draw them.

    Args:
        G: a generator with W.
        seeds: of z.
        truncation_psi: 1 = none, 0 = the mean w.
        truncation_cutoff: how many layers are truncated; None = all.
        class_index: of a conditional network.
        network: its `network_hash`, where it is known already.
        truncation: instead of psi and cutoff.

    Raises:
        LatentsError: if the network has no W.
        NoClassError: if it has no such class.
    """
    require_w(G)
    z, c = latents_from_seeds(seeds, G.z_dim), labels_of(G, class_index, len(seeds))
    device = G.device
    with torch.no_grad():
        psi, cutoff = truncation_psi, truncation_cutoff
        ws = mapped(G, z.to(device), c.to(device), psi=psi, cutoff=cutoff, truncation=truncation).cpu()
    one_psi = None if truncation else truncation_psi
    return Latents(ws, z, c if G.c_dim else None, (), tuple(seeds), one_psi, network or network_hash(G))


def drawn(G: Generator, latents: Latents) -> Iterator[Picture]:
    """Yield the pictures of latents, with their own noise."""
    return draw_latents(G, latents.ws, noise=latents.noise)


@torch.no_grad()
def sample_w(G: Generator, count: int = SAMPLES, *, seed: int = 123, c: Tensor | None = None) -> Tensor:
    """Return w [count, w_dim] of random latents, not truncated, on the CPU; c [1, c_dim] is the label, None = zeros."""
    require_w(G)
    z = torch.from_numpy(np.random.RandomState(seed).randn(count, G.z_dim).astype(np.float32)).to(G.device)
    parts = torch.split(z, _AT_ONCE)
    return torch.cat([G.mapping(part, None if c is None else c.expand(len(part), -1))[:, 0].cpu() for part in parts])


def w_statistics(G: Generator, c: Tensor | None = None) -> tuple[Tensor, float]:
    """Return the mean [w_dim] of W, on the CPU, and the root of the mean squared distance from it, of `sample_w`."""
    w = sample_w(G, c=c)
    mean = w.mean(dim=0)
    return mean, float((w - mean).square().sum().div(len(w)).sqrt())


def save(path: Path, latents: Latents, force: bool = False) -> None:
    """Write latents as `.npz`: `ws`, and of `z`, `c`, `noise0` …, `seeds`, `truncation_psi`, `network` what there is.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    arrays: dict[str, Array] = {"ws": latents.ws.detach().cpu().numpy()}
    arrays |= {f"noise{i}": each.detach().cpu().numpy() for i, each in enumerate(latents.noise)}
    for name in ("z", "c"):
        value = getattr(latents, name)
        if value is not None:
            arrays[name] = value.detach().cpu().numpy()
    if latents.seeds:
        arrays["seeds"] = np.array(latents.seeds, np.int64)
    for name in ("truncation_psi", "network"):
        if getattr(latents, name) is not None:
            arrays[name] = np.array(getattr(latents, name))
    with new_file(path, force) as file:
        write_npz(file, arrays)


def load(path: Path, G: Generator, most: int | None = None) -> Latents:
    """Read latents for a generator: ours, `projected_w.npz`, `dlatents.npz`, or ws alone as `.npy`.

    One row of w [N, w_dim] or [N, 1, w_dim] is taken for all layers.

    Args:
        path: the file.
        G: the generator.
        most: how many latents it may hold; None = any number.

    Raises:
        LatentsError: if it holds none or too many, or they do not fit the generator.
    """
    require_w(G)
    with file_errors(path, "latents (.npz)", LatentsError):
        arrays = read_npz(path, single="ws")
    ws = _ws(path, arrays, G, most)
    z, c, seeds, psi = (
        _numbers(path, key, arrays[key]) if key in arrays else None for key in ("z", "c", "seeds", "truncation_psi")
    )
    for key, value, dimensions in (("z", z, 2), ("c", c, 2), ("seeds", seeds, 1)):
        if value is not None and (value.ndim != dimensions or len(value) != len(ws)):
            raise LatentsError(f"{path}: its {key} are {list(value.shape)}, which is not one a latent")
    if psi is not None and psi.ndim:
        raise LatentsError(f"{path}: its truncation_psi is {list(psi.shape)}, not one number")
    return Latents(
        ws,
        z,
        c,
        _noise(path, arrays, G, len(ws)),
        () if seeds is None else tuple(map(int, arrays["seeds"])),  # which float32 could not hold
        None if psi is None else float(psi),
        str(arrays["network"]) if "network" in arrays else None,
    )


def _ws(path: Path, arrays: Mapping[str, Array], G: Generator, most: int | None) -> Tensor:
    name = next((name for name in ("ws", *_FOREIGN_NAMES) if name in arrays), None)
    if name is None:
        raise LatentsError(f"{path} holds no ws, only {', '.join(arrays) or 'nothing'}")
    if most and np.ndim(arrays[name]) and len(arrays[name]) > most:
        raise LatentsError(f"{path} holds {len(arrays[name])} latents; {most} are the most that can be taken here")
    ws = _numbers(path, name, arrays[name])
    if ws.ndim == 2 and ws.shape == (G.num_ws, G.w_dim) and name != "ws":
        ws = ws[None]
    elif ws.ndim == 2:
        ws = ws[:, None]
    if ws.ndim == 3 and ws.shape[1] == 1:
        ws = ws.expand(-1, G.num_ws, -1)
    if ws.shape[1:] != (G.num_ws, G.w_dim):
        raise LatentsError(f"{path}: ws are {list(ws.shape)}, this network takes [N, {G.num_ws}, {G.w_dim}]")
    if not len(ws):
        raise LatentsError(f"{path} holds no latents")
    return ws.contiguous()


def _noise(path: Path, arrays: Mapping[str, Array], G: Generator, count: int) -> tuple[Tensor, ...]:
    layers = sum(key.startswith("noise") for key in arrays)
    noise = tuple(_numbers(path, f"noise{i}", arrays.get(f"noise{i}")) for i in range(layers))
    sizes = [(1, *size) for size in noise_sizes(G)]
    if noise and [tuple(each.shape[1:]) for each in noise] != sizes:
        raise LatentsError(f"{path}: its noise is for another network")
    for each in noise:
        if len(each) not in (1, count):
            raise LatentsError(f"{path}: its noise is for {len(each)} pictures, its ws for {count}")
    return noise


def _numbers(path: Path, name: str, array: Array | None) -> Tensor:
    if array is not None and array.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            values = torch.from_numpy(array.astype(np.float32))
        if values.isfinite().all():
            return values
    raise LatentsError(f"{path}: {name} is missing, or not an array of finite numbers")


def chosen(latents: Latents, rows: Sequence[int]) -> Latents:
    """Return some of N latents by their numbers, in that order, repeated if wished."""
    some = list(rows)
    z, c = (None if each is None else each[some] for each in (latents.z, latents.c))
    noise = tuple(layer if len(layer) == 1 else layer[some] for layer in latents.noise)
    seeds = tuple(latents.seeds[i] for i in some) if latents.seeds else ()
    return replace(latents, ws=latents.ws[some], z=z, c=c, noise=noise, seeds=seeds)


def singles(latents: Latents) -> list[Latents]:
    """Return N latents one by one, as `chosen` does."""
    return [chosen(latents, [i]) for i in range(len(latents))]


def joined(parts: Sequence[Latents]) -> Latents:
    """Return the latents of several, one after the other; z, labels, seeds and noise are kept if all have them."""
    if len(parts) == 1:
        return parts[0]
    noise: tuple[Tensor, ...] = ()
    if all(_same_maps(part.noise, parts[0].noise) for part in parts):
        noise = parts[0].noise
    elif all(part.noise for part in parts):
        noise = tuple(
            torch.cat([each.expand(len(part), -1, -1, -1) for part, each in zip(parts, layer, strict=True)])
            for layer in zip(*(part.noise for part in parts), strict=True)
        )
    seeds = tuple(seed for part in parts for seed in part.seeds) if all(part.seeds for part in parts) else ()
    psi = parts[0].truncation_psi if len({part.truncation_psi for part in parts}) == 1 else None
    network = parts[0].network if len({part.network for part in parts}) == 1 else None
    z, c = (_rows([getattr(part, name) for part in parts]) for name in ("z", "c"))
    return Latents(torch.cat([part.ws for part in parts]), z, c, noise, seeds, psi, network)


def _rows(parts: Sequence[Tensor | None]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    return torch.cat(given) if len(given) == len(parts) else None


def _same_maps(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Return whether two noises are one map a layer, the same for every picture."""
    return len(one) == len(other) and all(len(a) == 1 and torch.equal(a, b) for a, b in zip(one, other, strict=True))
