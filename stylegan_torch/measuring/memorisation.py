"""Whether a network draws what it was trained on: the nearest training pictures of what it draws, and authenticity.

A generated picture g counts as authentic if it lies farther from its nearest training picture r than r does from the
nearest other training picture (Alaa et al. 2022, section 3.3). What is near depends on the features: `pixels` finds
copies, and what is arranged alike; learnt features find what shows the same thing.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, select_autoescape
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch import __version__
from stylegan_torch.drawing.images import to_pil
from stylegan_torch.files.atomic import new_file
from stylegan_torch.measuring.extractors import Extractor
from stylegan_torch.measuring.features import Features, about
from stylegan_torch.measuring.fidelity import MeasureError
from stylegan_torch.measuring.sets import PictureSet
from stylegan_torch.text import printable
from stylegan_torch.types import JsonObject

_ROWS = 256
_SPARE = 4
"""More neighbours than asked for are found by rounded distances, and put in order by exact ones."""


@dataclass(frozen=True)
class Memorisation:
    """What N generated pictures have nearest in the training set, and how near.

    neighbours: numbers [N, k] of the training pictures' features, the nearest first. distances: [N, k].
    own: [N], how far the nearest is from the nearest other training picture.
    """

    neighbours: Tensor
    distances: Tensor
    own: Tensor

    @property
    def ratios(self) -> Tensor:
        """Return [N] distance over own distance: below 1 is nearer than training pictures are; 0 is a copy."""
        ratios = self.distances[:, 0] / self.own
        return torch.where(self.distances[:, 0] == 0, torch.zeros_like(ratios), ratios)

    @property
    def authentic(self) -> Tensor:
        """Return [N], whether each picture is authentic."""
        return self.distances[:, 0] > self.own

    @property
    def authenticity(self) -> float:
        """Return the share of pictures that are authentic."""
        return float(self.authentic.double().mean())

    @property
    def worst_first(self) -> list[int]:
        """Return the pictures in the order of their ratios."""
        return torch.argsort(self.ratios, stable=True).tolist()


def memorisation(
    generated: Tensor,
    reals: Tensor,
    *,
    k: int = 3,
    same: NDArray[np.int64] | None = None,
    watch: Callable[[Iterable[int]], Iterable[int]] = lambda starts: starts,
) -> Memorisation:
    """Return what generated pictures have nearest in a training set, by their features.

    Args:
        generated: features [N, D].
        reals: features [M, D] of the training pictures, M > k.
        k: how many neighbours.
        same: [M], numbers that are equal for a picture and its mirror image, so that these are not each other's
            neighbours; None = all differ.
        watch: may show progress.

    Raises:
        MeasureError: if there are too few pictures.
    """
    if len(reals) <= k or len(reals) < 2:
        raise MeasureError(f"{k} neighbours need more training pictures than {len(reals):,}")
    kinds = torch.arange(len(reals)) if same is None else torch.from_numpy(same)
    found = [_nearest(generated[start : start + _ROWS], reals, k) for start in watch(range(0, len(generated), _ROWS))]
    distances, neighbours = (torch.cat(parts) for parts in zip(*found, strict=True))
    first, which = neighbours[:, 0].unique(return_inverse=True)  # type: ignore[no-untyped-call]
    others = [_nearest_other(first[start : start + _ROWS], reals, kinds) for start in range(0, len(first), _ROWS)]
    return Memorisation(neighbours, distances, torch.cat(others)[which])


def _nearest(some: Tensor, reals: Tensor, k: int, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return distances and numbers [n, k] of the nearest; excluded [n, M] says which are none."""
    rough = torch.cdist(some, reals)
    if excluded is not None:
        rough = rough.masked_fill(excluded, math.inf)
    numbers = rough.topk(min(k + _SPARE, len(reals)), largest=False).indices
    exact = (some[:, None].double() - reals[numbers].double()).square().sum(dim=2).sqrt()
    if excluded is not None:
        exact = exact.masked_fill(excluded.gather(1, numbers), math.inf)
    order = exact.argsort(dim=1, stable=True)[:, :k]
    return exact.gather(1, order), numbers.gather(1, order)


def _nearest_other(some: Tensor, reals: Tensor, kinds: Tensor) -> Tensor:
    """Return how far training pictures, by number, are from the nearest of another kind."""
    distances, _ = _nearest(reals[some], reals, 1, kinds[some][:, None] == kinds[None])
    if distances.isinf().any():
        raise MeasureError("there is only one training picture")
    return distances[:, 0]


def report(
    found: Memorisation,
    generated: tuple[PictureSet, Features],
    reals: tuple[PictureSet, Features],
    extractor: Extractor,
    software: JsonObject,
) -> JsonObject:
    """Return what was found as JSON: authenticity, and each picture with its neighbours, the worst first.

    Args:
        found: of the features of both.
        generated: the pictures, and their features.
        reals: the training pictures, and their features.
        extractor: that made them.
        software: as `comparison.software` tells it.
    """
    ratios, authentic, own = found.ratios.tolist(), found.authentic.tolist(), found.own.tolist()
    pairs = []
    for i in found.worst_first:
        ratio = ratios[i]
        pairs.append(
            {
                "picture": generated[0].name(int(generated[1].indices[i])),
                "ratio": ratio if math.isfinite(ratio) else None,
                "authentic": authentic[i],
                "nearest_to_its_next": own[i],
                "nearest": [
                    {"name": reals[0].name(int(reals[1].indices[number])), "distance": distance}
                    for number, distance in zip(found.neighbours[i].tolist(), found.distances[i].tolist(), strict=True)
                ],
            }
        )
    return {
        "authenticity": found.authenticity,
        "copies": int((found.distances[:, 0] == 0).sum()),
        "reals_that_are_there_twice": len(reals[1].digests) - len(np.unique(reals[1].digests, axis=0)),
        "extractor": extractor.about,
        "generated": about(*generated),
        "reals": about(*reals),
        "pairs": pairs,
        "software": software,
    }


def write_page(
    path: Path,
    content: JsonObject,
    found: Memorisation,
    generated: tuple[PictureSet, Features],
    reals: tuple[PictureSet, Features],
    *,
    pairs: int = 50,
    force: bool = False,
) -> None:
    """Write a self-contained HTML page of the worst pictures beside their nearest training pictures.

    Args:
        path: of the page.
        content: what `report` returned.
        found, generated, reals: what it was made of.
        pairs: how many pictures are shown.
        force: replace an existing page.

    Raises:
        StyleGANError: if it cannot be written.
    """
    text = resources.files("stylegan_torch.measuring").joinpath("memorisation.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=lambda value: printable(value, kept="\n") if type(value) is str else value,
    )
    environment.filters["number"] = lambda value: "∞" if value is None else f"{value:.4g}"
    shown = found.worst_first[:pairs]
    drawn = _thumbnails(generated, shown)
    near = _thumbnails(reals, sorted(set(found.neighbours[shown].flatten().tolist())))
    rows = [
        (pair, drawn[i], [(each, near[number]) for each, number in zip(pair["nearest"], numbers, strict=True)])
        for pair, i, numbers in zip(content["pairs"], shown, found.neighbours[shown].tolist(), strict=False)
    ]
    page = environment.from_string(text).render(
        name=_name(content["generated"]),
        report=content,
        rows=rows,
        about=json.dumps(_without_pairs(content), indent=2),
        version=__version__,
    )
    with new_file(path, force) as file:
        file.write(page.encode(errors="backslashreplace"))


def _name(generated: JsonObject) -> str:
    return str(generated.get("network", generated).get("name") or "a network")


def _without_pairs(content: JsonObject) -> JsonObject:
    return {name: value for name, value in content.items() if name != "pairs"}


def _thumbnails(pictures: tuple[PictureSet, Features], rows: Sequence[int]) -> dict[int, str]:
    """Return pictures, by the rows of their features, as addresses that hold them."""
    numbers = {row: int(pictures[1].indices[row]) for row in rows}
    found = pictures[0].some(sorted(set(numbers.values())))
    return {row: _data_url(found[number]) for row, number in numbers.items()}


def _data_url(picture: Tensor) -> str:
    buffer = io.BytesIO()
    to_pil(picture.round().to(torch.uint8).permute(1, 2, 0).numpy()).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
