"""`stylegan measure`: how far a network's pictures are from real ones, and how even and equivariant it is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import OUTPUT, InputFolder, OutputFile
from stylegan_torch.commands.networks import Opened, note_no_class, open_generator, usable_device
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, reading, say, tracked
from stylegan_torch.files.atomic import new_file, refuse_existing

if TYPE_CHECKING:
    from stylegan_torch.measuring import Collection, Generated, PictureSet
    from stylegan_torch.measuring.sets import Batch
    from stylegan_torch.types import JsonObject

_EQUIVARIANCES = ("eqt", "eqt-frac", "eqr")
_OF_NETWORKS = ("ppl", "norms", *_EQUIVARIANCES)
_SAMPLES = {"sets": 50_000, "networks": 1000}
EXAMPLES = """\b
Examples:
  stylegan measure fid kid pr --network ffhq.pt --reals ffhq.zip --mirror --download --out ffhq.json
  stylegan measure fid --reals faces.zip --samples 5000 --extractor random-convolutions
  stylegan measure fid is --generated pictures/ --reals photos/ --resolution 256x256 --features weights-inception.pth
  stylegan measure ppl --network ffhq.pt --distance vgg16.pt --trust-distance --ends-only --samples 50000
  stylegan measure eqt eqr --network stylegan3-r.pkl --samples 1000
"""


def _classes(text: str) -> str | int:
    if text in ("none", "uniform", "reals"):
        return text
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{text!r} is neither none, uniform or reals, nor the number of a class")
    return int(text)


@dataclass(frozen=True)
class Sources:
    """The sets of pictures that the options of a command name.

    generated: a collection in place of what the network draws.
    """

    network: str | None
    generated: Path | None
    reals: Path | None
    samples: int | None
    truncation: float | None
    truncation_cutoff: int | None
    classes: str | int
    noise: str
    values: Literal["8bit", "float"]
    reals_count: int | None
    mirror: bool
    resolution: tuple[int, int] | None
    bad: str
    seed: int
    device: str | None
    exact: bool

    @property
    def psi(self) -> float:
        """The truncation asked for; none unless one is."""
        return 1.0 if self.truncation is None else self.truncation

    def open(self, samples: int) -> tuple[PictureSet, Collection | None]:
        """Return what is generated, and the reals; by default so many samples of a network."""
        size = (self.resolution[1], self.resolution[0]) if self.resolution else None
        if self.generated:
            fakes = self._collection(self.generated, size, self.samples)
            return fakes, self._reals((fakes.size.height, fakes.size.width))
        opened = open_generator(self.network, self.device, self.exact)
        reals = self._reals(opened.G.img_size, opened.G.img_channels)
        return self._drawn(opened, reals, self.samples or samples), reals

    def _reals(self, size: tuple[int, int], channels: int = 3) -> Collection | None:
        if not self.reals:
            return None
        return self._collection(self.reals, size, self.reals_count, channels=channels, mirror=self.mirror)

    def _collection(
        self, path: Path, size: tuple[int, int] | None, count: int | None, *, channels: int = 3, mirror: bool = False
    ) -> Collection:
        from stylegan_torch.measuring import Collection

        skip = self.bad == "skip"
        return Collection(path, size, channels=channels, count=count, seed=self.seed, mirror=mirror, skip_bad=skip)

    def _drawn(self, opened: Opened, reals: Collection | None, samples: int) -> Generated:
        from stylegan_torch.measuring import Generated

        G = opened.G
        if G.c_dim and self.classes == "none":
            say(f"Note: no --classes given; taking an all-zero label ({G.c_dim} classes).", err=True)
        labels = reals.numbers(G.c_dim) if reals and self.classes == "reals" else None
        return Generated(
            G,
            samples,
            seed=self.seed,
            truncation_psi=self.psi,
            truncation_cutoff=self.truncation_cutoff,
            classes=self.classes,
            real_labels=labels,
            noise=self.noise,
            values=self.values,
            drawer=opened.drawer,
            origin=opened.origin,
        )

    def refuse_misfits(self, needs_reals: bool) -> None:
        """Raise UsageError for options that contradict each other."""
        if self.generated and self.network:
            raise click.UsageError("give --generated or --network, not both")
        if needs_reals and not self.reals:
            raise click.UsageError("give the real pictures with --reals")
        if self.resolution and not self.generated:
            raise click.UsageError("--resolution is for --generated: a network's pictures have the size they have")
        of_networks = (self.classes, self.values, self.noise, self.truncation, self.truncation_cutoff)
        if self.generated and of_networks != ("none", "8bit", "official", None, None):
            raise click.UsageError(
                "--classes, --values, --noise, --truncation and --truncation-cutoff are for what a network draws"
            )
        if not self.reals and (self.mirror or self.reals_count):
            raise click.UsageError("--mirror and --reals-count are of --reals")


SOURCES = options.block(
    options.NETWORK,
    click.option("--generated", type=InputFolder(), help="Pictures to measure in place of a network's."),
    options.truncation("Truncation; the papers measure without.  [default: 1]"),
    click.option("--truncation-cutoff", type=click.IntRange(min=0), metavar="L", help="Layers that are truncated."),
    click.option(
        "--classes",
        callback=reading(_classes),
        default="none",
        show_default=True,
        help="Of a conditional network: an all-zero label, uniform, as the reals have them, or the number of one.",
    ),
    click.option(
        "--noise",
        type=click.Choice(["official", "const", "none"]),
        default="official",
        show_default=True,
        help="As stylegan-generate does.",
    ),
    click.option(
        "--values",
        type=click.Choice(["8bit", "float"]),
        default="8bit",
        show_default=True,
        help="Round pictures as a PNG does, or not.",
    ),
    click.option(
        "--reals-count", type=click.IntRange(min=2), help="Take so many of the reals, by the seed.  [default: all]"
    ),
    click.option("--mirror", is_flag=True, help="Take the reals a second time, mirrored."),
    options.resolution("Of pictures, with --generated.  [default: of its first]"),
    options.bad("Bad pictures."),
)
WORKING = options.block(
    click.option(
        "--seed",
        type=click.IntRange(0, (1 << 31) - 1),
        default=0,
        show_default=True,
        help="The first; all follows from it.",
    ),
    options.DEVICE,
    options.EXACT,
    click.option("--cache", type=OUTPUT, help="Where features are kept.  [default: the user's cache folder]"),
)


@click.command(epilog=EXAMPLES, short_help="FID, KID, precision, path lengths, equivariance …")
@click.argument(
    "what", metavar="WHAT...", nargs=-1, required=True, type=click.Choice([*options.SET_MEASURES, *_OF_NETWORKS])
)
@click.option("--reals", type=InputFolder(), help="Real pictures: a folder, a .zip or a WebDataset.")
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    help="Pictures, or steps, to measure.  [default: 50000 against reals, all of --generated, 1000 for the rest]",
)
@SOURCES
@options.extractor("What features are of.  [default: each measure's own, as in the papers]")
@click.option("--space", type=click.Choice(["z", "w"]), default="w", show_default=True, help="For ppl.")
@click.option("--ends-only", is_flag=True, help="For ppl: at the beginnings of paths, as StyleGAN2 does.")
@click.option("--crop-face", is_flag=True, help="For ppl: only the middle of FFHQ's pictures, as the papers do.")
@options.DISTANCE
@options.batch(4)
@WORKING
@click.option("--keep", is_flag=True, help="Keep the features of what is generated too, for other measures.")
@click.option("--out", type=OutputFile(".json"), help="Write the numbers here, with all they depend on.")
@options.FORCE
@one_line_errors
def measure(
    what: tuple[str, ...],
    extractor: str | None,
    features: Path | None,
    download: bool,
    space: str,
    ends_only: bool,
    crop_face: bool,
    distance_name: str,
    trust_distance: bool,
    batch: int,
    cache: Path | None,
    keep: bool,
    out: Path | None,
    force: bool,
    **given: object,
) -> None:
    """Measure WHAT, one or more of these, and print it.

    \b
    fid        Fréchet inception distance: 50 000 pictures against all reals
    kid        kernel inception distance
    pr         precision and recall (features of VGG16)
    is         inception score
    fd-dinov2  Fréchet distance of DINOv2's features
    ppl        perceptual path length (StyleGAN section 4.1); the papers' numbers
               are with LPIPS, those of other distances compare with each other
    norms      lengths of the Jacobian's random steps (StyleGAN2 section 3.2);
               a small spread means that equal steps in W change pictures equally
    eqt        equivariance of StyleGAN3 in dB: to translation by whole pixels,
    eqt-frac   by parts of pixels,
    eqr        and to rotation (StyleGAN3 appendix E)

    With an --extractor that is not the papers', a measure has another name. Killed, the same command goes on with the
    features that it had; what is measured on a network alone begins anew.
    """
    names = tuple(dict.fromkeys(what))
    of_sets = [name for name in names if name in options.SET_MEASURES]
    sources = Sources(**given)  # type: ignore[arg-type]
    sources.refuse_misfits(needs_reals=any(name != "is" for name in of_sets))
    of_network = [name for name in names if name in _OF_NETWORKS]
    if of_network and sources.generated:
        raise click.UsageError(f"{of_network[0]} is measured on a network, not on pictures")
    if not of_sets and (sources.reals or sources.mirror or sources.reals_count or sources.classes != "none"):
        raise click.UsageError(f"{of_network[0]} takes no --reals, --reals-count, --mirror or --classes")
    if "ppl" not in names and (ends_only or crop_face or space == "z"):
        raise click.UsageError("--space, --ends-only and --crop-face are for ppl")
    if sources.truncation is not None and not {"ppl", "norms"}.isdisjoint(names):
        raise click.UsageError("path lengths are measured without truncation")
    if out:
        refuse_existing([out], force)
    with quick_imports():
        from stylegan_torch.measuring import measure, open_extractor
        from stylegan_torch.measuring.comparison import software
    report: JsonObject = {"measures": [], "software": software()}
    paths = Paths(space, ends_only, crop_face, distance_name, trust_distance, batch)
    measured = _of_network(of_network, sources, paths) if of_network else list
    if of_sets:
        generated, reals = sources.open(_SAMPLES["sets"])
        device = usable_device(sources.device)
        report |= measure(
            of_sets,
            generated,
            reals,
            open_extractor=lambda name: open_extractor(name, device, weights=features, download=download),
            extractor=extractor,
            cache=cache,
            keep=keep,
            batch=batch,
            watch=watch,
        )
    report["measures"] += measured()
    say(*(_line(row) for row in report["measures"]))
    if out:
        write_json(out, report, force)


@dataclass(frozen=True)
class Paths:
    """How path lengths are measured."""

    space: str
    ends_only: bool
    crop: bool
    distance: str
    trust: bool
    batch: int


def _of_network(names: Sequence[str], sources: Sources, paths: Paths) -> Callable[[], list[JsonObject]]:
    """Return what measures a network, after a look whether that is possible: what comes before may take hours."""
    from stylegan_torch.editing.latents import require_w
    from stylegan_torch.editing.perceptual import open_distance
    from stylegan_torch.measuring.equivariance import moved_input

    opened = open_generator(sources.network, sources.device, exact=True)
    for name in names:
        (moved_input if name in _EQUIVARIANCES else require_w)(opened.G)
    if "ppl" in names:
        open_distance(paths.distance, opened.G.device, paths.trust)
    note_no_class(opened.G, None)
    return partial(_rows, names, opened, sources, paths)


def _rows(names: Sequence[str], opened: Opened, sources: Sources, paths: Paths) -> list[JsonObject]:
    from stylegan_torch.networks.registry import network_hash

    samples = sources.samples or _SAMPLES["networks"]
    network = {**opened.origin, "weights": network_hash(opened.G)}
    rows = []
    for name in names:
        measured = _equivariance if name in _EQUIVARIANCES else _lengths
        title, values, settings = measured(name, opened, samples, sources, paths)
        about = {"samples": samples, "seed": sources.seed, **settings}
        rows.append({"measure": name, "title": title, "values": values, "settings": about, "network": network})
    return rows


_Row = tuple[str, dict[str, float | None], dict[str, object]]


def _equivariance(name: str, opened: Opened, samples: int, sources: Sources, paths: Paths) -> _Row:
    from stylegan_torch.measuring.equivariance import KINDS, equivariance

    found = equivariance(
        opened.G,
        name,
        samples=samples,
        batch=paths.batch,
        seed=sources.seed,
        truncation_psi=sources.psi,
        watch=lambda starts: tracked(starts, f"Measuring {name}"),
    )
    return KINDS[name], {"decibels": found if math.isfinite(found) else None}, {"truncation_psi": sources.psi}


def _lengths(name: str, opened: Opened, samples: int, sources: Sources, paths: Paths) -> _Row:
    from stylegan_torch.editing.measures import path_length_norms, perceptual_path_length
    from stylegan_torch.editing.perceptual import open_distance

    settings: dict[str, object] = {}
    if name == "norms":
        values = path_length_norms(opened.G, samples=samples, batch=paths.batch, seed=sources.seed)
        title = "path-length norm"
    else:
        distance = open_distance(paths.distance, opened.G.device, paths.trust)
        settings = {"space": paths.space, "ends_only": paths.ends_only, "crop_face": paths.crop, "epsilon": 1e-4}
        settings["distance"] = distance.name
        values = perceptual_path_length(
            opened.G,
            distance,
            samples=samples,
            space=paths.space,
            ends_only=paths.ends_only,
            crop=paths.crop,
            batch=paths.batch,
            seed=sources.seed,
        )
        title = f"perceptual path length ({distance.name})"
    low, high = values.quantile(0.01, interpolation="lower"), values.quantile(0.99, interpolation="higher")
    kept = values[(values >= low) & (values <= high)]
    found = {"mean": values.mean(), "spread": values.std(), "mean without the outer 2 %": kept.mean()}
    return title, {key: float(value) for key, value in found.items()}, settings


def _line(row: JsonObject) -> str:
    values = ", ".join(f"{name} {_number(value)}" for name, value in row["values"].items())
    return f"{row['title']}: {values}"


def _number(value: float | None) -> str:
    return "∞" if value is None else f"{value:.5g}"


def write_json(path: Path, report: JsonObject, force: bool) -> None:
    """Write a report."""
    with new_file(path, force) as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())


def watch(batches: Iterable[Batch], what: str, left: int) -> Iterable[Batch]:
    """Show on a terminal how many pictures are done, as `features_of` takes it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(f"{what}: {{task.completed:,.0f}} of {{task.total:,.0f}}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("", total=left)
        for batch in batches:
            yield batch
            progress.advance(task, len(batch.indices) + len(batch.skipped))
