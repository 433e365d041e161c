"""Measures of two sets of pictures, what is generated and what is real, and a record of how each was taken."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from torch import Tensor

from stylegan_torch import __version__
from stylegan_torch.measuring import features, fidelity
from stylegan_torch.measuring.extractors import Extractor
from stylegan_torch.measuring.features import Features, Watch, about, features_folder, features_of
from stylegan_torch.measuring.fidelity import MeasureError
from stylegan_torch.measuring.sets import PictureSet
from stylegan_torch.types import JsonObject


@dataclass(frozen=True)
class Measure:
    """A measure of sets.

    title: what it is called with its own extractor; distance: what it is called with another.
    extractor: the papers'. of: maps the features of what is generated, and of the reals, to numbers by name.
    main: the number that networks are ordered by; better: whether "less" or "more" of it is.
    settings: of the formula, as a report says them. needs_reals: whether it compares.
    """

    title: str
    distance: str
    extractor: str
    of: Callable[[Tensor, Tensor], Mapping[str, float]]
    main: str
    better: str = "less"
    settings: JsonObject = field(default_factory=dict)
    needs_reals: bool = True

    def columns(self, measure: str, extractor: str, values: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of a log by short names: "fid", "kid", "precision", "fid@random-convolutions" …

        Args:
            measure: the name of this measure.
            extractor: what it was taken with; if it is not the papers', the names say so.
            values: what `of` returned.
        """
        named = values if measure == "pr" else {measure: values[self.main]}
        other = "" if extractor == self.extractor else f"@{extractor}"
        return {f"{name}{other}": value for name, value in named.items()}

    def name(self, extractor: str) -> str:
        """Return what to call it with an extractor."""
        if extractor == self.extractor:
            return self.title
        papers = "the papers'" if self.distance == self.title else self.title
        return f"{self.distance} of {extractor} features (not {papers})"


def _frechet(generated: Tensor, reals: Tensor) -> Mapping[str, float]:
    return {"distance": fidelity.frechet_distance(generated, reals)}


MEASURES: Mapping[str, Measure] = {
    "fid": Measure("FID", "Fréchet distance", "inception-v3-compat", _frechet, "distance"),
    "fd-dinov2": Measure("FD-DINOv2", "Fréchet distance", "dinov2-vit-l-14", _frechet, "distance"),
    "kid": Measure(
        "KID", "kernel distance", "inception-v3-compat", fidelity.kernel_distance, "mean", settings=fidelity.KID
    ),
    "pr": Measure(
        "precision and recall",
        "precision and recall",
        "vgg16",
        fidelity.precision_recall,
        "precision",
        "more",
        settings=fidelity.PR,
    ),
    "is": Measure(
        "inception score",
        "inception score",
        "inception-v3-compat",
        lambda generated, _: fidelity.inception_score(generated),
        "mean",
        "more",
        settings=fidelity.IS,
        needs_reals=False,
    ),
}


def measure(
    names: Sequence[str],
    generated: PictureSet,
    reals: PictureSet | None = None,
    *,
    open_extractor: Callable[[str], Extractor],
    extractor: str | None = None,
    cache: Path | None = None,
    keep: bool = False,
    batch: int = 16,
    watch: Watch = lambda batches, what, left: batches,
) -> JsonObject:
    """Take measures of a set of pictures, against real ones, and return them with all that they depend on.

    Features are kept in the cache as they are computed, so that what was interrupted goes on; those of the reals stay,
    those of what is generated only if `keep` says so.

    Args:
        names: of `MEASURES`.
        generated: the pictures measured.
        reals: what they are compared with; only "is" goes without.
        open_extractor: returns an extractor by name.
        extractor: its name; None = each measure's own, that of the papers.
        cache: where features are kept; None = the user's cache folder.
        keep: keep the features of what is generated too.
        batch: pictures at once.
        watch: may show progress.

    Returns:
        JSON: "measures", a list of name, title and "values"; "generated" and "reals", what they were; "software".

    Raises:
        StyleGANError: if a measure cannot be taken.
    """
    if reals is None and any(MEASURES[name].needs_reals for name in names):
        raise MeasureError("measures of distance need real pictures to compare with")
    rows: dict[str, JsonObject] = {}
    sets: JsonObject = {}
    folders = []
    for chosen in dict.fromkeys(extractor or MEASURES[name].extractor for name in names):
        some = [name for name in names if chosen == (extractor or MEASURES[name].extractor)]
        opened = open_extractor(chosen)
        layers = {name: opened.layer(name) for name in some}
        found: dict[str, Features] = {}
        compared = reals if any(MEASURES[name].needs_reals for name in some) else None
        for role, pictures, what in (("reals", compared, "Looking at reals"), ("generated", generated, "Drawing")):
            if pictures is not None:
                folder = features_folder(pictures, opened, cache)
                folders.append(folder)
                found[role] = features_of(pictures, opened, folder=folder, batch=batch, watch=watch, what=what)
                sets[role] = about(pictures, found[role])
                if role == "reals" or keep:
                    features.keep(folder)
        for name in some:
            fakes, real = found["generated"], found.get("reals", found["generated"])
            rows[name] = _row(name, opened, layers[name], fakes.layers[layers[name]], real.layers[layers[name]])
    for folder in folders:
        features.forget(folder)
    return {"measures": [rows[name] for name in names], **sets, "software": software()}


def _row(name: str, extractor: Extractor, layer: str, generated: Tensor, reals: Tensor) -> JsonObject:
    kind = MEASURES[name]
    settings = {**kind.settings}
    if "kid_subset_size" in settings:
        settings["kid_subset_size"] = fidelity.subset_size(generated, reals)
    return {
        "measure": name,
        "title": kind.name(extractor.name),
        "values": dict(kind.of(generated, reals)),
        "extractor": {**extractor.about, "layer": layer},
        "settings": settings,
    }


def software() -> JsonObject:
    """Return the programs that a number depends on; None for what is not there."""
    return {"python": platform.python_version(), "stylegan-torch": __version__} | {
        name: _version(name) for name in ("torch", "torch-fidelity", "numpy", "pillow")
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
