"""From compositions to latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from stylegan_torch.drawing.draw import DrawSettings, noise_sizes, official_noise, resolve
from stylegan_torch.drawing.truncation import Truncation
from stylegan_torch.editing import directions as finding
from stylegan_torch.editing.composition import Composition, CompositionError, LayerPsi, Move, check_directions
from stylegan_torch.editing.directions import Directions
from stylegan_torch.editing.latents import Latents, chosen, from_seeds, joined, load, require_w, singles
from stylegan_torch.editing.mixing import layers_of, mix
from stylegan_torch.editing.truncation import truncation
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash

_METHODS = {"pca": finding.pca, "sefa": finding.sefa}
_COUNT = 50
"""So many of them are found."""
_KEPT = 4
"""So many files, and latents of seeds, are kept for the next composition."""


class Composer:
    """Makes latents of compositions; keeps what it found in the network and read from files."""

    def __init__(self, G: Generator) -> None:
        """Take a generator with W, in its plain form.

        Raises:
            LatentsError: if it has no W.
        """
        require_w(G)
        self.G = G
        self.network = network_hash(G)
        self._directions: dict[str, Directions] = {}
        self._read = lru_cache(_KEPT)(lambda path: load(path, G))
        # Not methods, which would be of a composer that is of them: it and its networks would stay a while in memory.
        truncations = lru_cache(_KEPT)(
            lambda psi, parts, centres: truncation(G, psi, parts, centres=centres)  # which may have drawn its centres
        )
        self._seeds = lru_cache(_KEPT)(partial(_of_seeds, G, self.network, truncations))

    def directions(self, name: str) -> Directions:
        """Return the directions "pca" or "sefa" of the network, or those of a file.

        Raises:
            StyleGANError: if there is no such file, it cannot be read, or it is of another network.
        """
        if name not in self._directions:
            check_directions(name)
            find = _METHODS.get(name)
            found = find(self.G, min(self.G.w_dim, _COUNT)) if find else finding.load(Path(name), self.G)
            self._directions[name] = found
        return self._directions[name]

    def count(self, name: str) -> int:
        """Return how many `directions` there are; those of the network need not be found for that.

        Raises:
            StyleGANError: as `directions` does.
        """
        if name not in _METHODS or name in self._directions:
            return len(self.directions(name))
        most = min(self.G.w_dim, _COUNT)
        return most if name == "pca" else min(most, len(finding.style_weights(self.G)))

    def compose(self, picture: Composition) -> Latents:
        """Return the latents of a composition: one row, or as many as its file has.

        Raises:
            StyleGANError: if something it names is not there, or not for this network.
        """
        return self._changed(self._base(picture), picture)

    def compose_all(self, pictures: Sequence[Composition]) -> Latents:
        """Return the latents of one or more compositions, in order; those that differ in their seeds only at once.

        Raises:
            StyleGANError: as `compose` does.
        """
        alike = dict[Composition, dict[int, int]]()
        for number, each in enumerate(pictures):
            if isinstance(each.base, int):
                alike.setdefault(replace(each, base=0), {})[number] = each.base
        found = dict[int, Latents]()
        for picture, seeds in alike.items():
            made = self._changed(self._seeds(tuple(seeds.values()), *_how(picture)), picture)
            if len(seeds) == len(pictures):
                return made
            found |= zip(seeds, singles(made), strict=True)
        return joined([found.get(number) or self.compose(each) for number, each in enumerate(pictures)])

    def _changed(self, start: Latents, picture: Composition) -> Latents:
        ws = start.ws
        for each in picture.mixes:
            other = self._source(each.source, picture).ws[:1]
            ws = mix(ws, other.expand_as(ws), self._layers(each.layers))
        for move in picture.moves:
            ws = self._moved(ws, move)
        noise = start.noise if picture.noise == "official" else self._noise(picture)
        if picture.mixes or picture.moves:
            start = start.with_ws(ws)
        return replace(start, noise=noise, network=self.network)

    def _base(self, picture: Composition) -> Latents:
        base = self._source(picture.base, picture)
        if picture.row is None or not isinstance(picture.base, Path):
            return base
        if picture.row >= len(base):
            raise CompositionError(f"{picture.base} has the rows 0 to {len(base) - 1}, not {picture.row}")
        return chosen(base, [picture.row])

    def _source(self, source: int | Path, picture: Composition) -> Latents:
        if isinstance(source, int):
            return self._seeds((source,), *_how(picture))
        return self._read(source)

    def _moved(self, ws: Tensor, move: Move) -> Tensor:
        known = self.directions(move.directions)
        if move.index >= len(known):
            last = len(known) - 1
            raise CompositionError(f"{move}: {move.directions} has the directions 0 to {last}, not {move.index}")
        return known.apply(ws, move.index, move.strength, layers=self._layers(move.layers) if move.layers else ())

    def _layers(self, text: str) -> list[int]:
        try:
            return layers_of(self.G, text)
        except ValueError as error:
            raise CompositionError(str(error)) from error

    def _noise(self, picture: Composition) -> tuple[Tensor, ...]:
        """Return noise maps [1, 1, H, W]; of none, zeros, so that it travels; nothing for the stored ones."""
        if picture.noise == "const":
            return ()
        random = torch.Generator().manual_seed(picture.noise_seed)
        drawn = [torch.randn(1, 1, *size, generator=random) for size in noise_sizes(self.G)]
        maps = [self.G.synthesis.noise_of(each) for each in drawn]
        return tuple(torch.zeros_like(each) if picture.noise == "none" else each for each in maps)


def _how(picture: Composition) -> tuple[float | None, int | None, tuple[LayerPsi, ...], Path | None]:
    """Return what besides a seed its ws follow from, as `_of_seeds` takes it."""
    return picture.truncation_psi, picture.class_index, picture.layer_psis, picture.centres


def _of_seeds(
    G: Generator,
    network: str,
    truncations: Callable[..., Truncation | None],
    seeds: tuple[int, ...],
    truncation_psi: float | None,
    class_index: int | None,
    layer_psis: tuple[LayerPsi, ...],
    centres: Path | None,
) -> Latents:
    try:
        found = truncations(truncation_psi, layer_psis, centres)
        settings = resolve(G, DrawSettings(truncation_psi, class_index=class_index, truncation=found))
    except ValueError as error:
        raise CompositionError(str(error)) from error
    latents = from_seeds(
        G,
        seeds,
        truncation_psi=settings.get("truncation_psi", 1.0),
        truncation_cutoff=settings.get("truncation_cutoff"),
        class_index=class_index,
        network=network,
        truncation=found,
    )
    return replace(latents, noise=tuple(official_noise(G, seeds)))
