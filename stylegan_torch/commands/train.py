"""`stylegan train`: train or fine-tune a network."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE, OUTPUT, InputFolder
from stylegan_torch.commands.options import refuse_idle
from stylegan_torch.commands.terminal import SEED, FiniteRange, one_line_errors, quick_imports, reading, say, tracked
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns, one_line
from stylegan_torch.types import JsonObject

if TYPE_CHECKING:
    from stylegan_torch.files.checkpoint import Checkpoint
    from stylegan_torch.pictures.collections import Picture
    from stylegan_torch.training.metrics import Metrics
    from stylegan_torch.training.start import Plan

_RANKS = ["RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"]
"""Where launchers say which of the processes that train together this one is, as accelerate reads it."""
EXAMPLES = """\b
Examples:
  stylegan train photos/ --network ffhq.pkl --outdir run --kimg 500 --augment ada --flip
  stylegan train photos.zip --config recipe.toml --outdir run
  stylegan train photos.zip --cfg auto --flip --outdir run --dry-run
  stylegan train photos.zip --outdir run --resume
  stylegan train photos.zip --config recipe.toml --outdir run --metrics fid,kid --download
  accelerate launch --multi_gpu $(which stylegan) train photos/ --network ffhq.pt --outdir run
"""


_AUGMENT = {"none": "none", "noaug": "none", "ada": "ada", "fixed": "fixed"}
"""By the words of the option, the official trainers' among them."""
_PIPES = ("blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")


def _setting(text: str) -> tuple[str, object]:
    """Read NAME=VALUE, the value as in a recipe."""
    import tomllib

    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except ValueError:
        return name, value


def _metrics(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(" ", "").split(",")))
    unknown = [name for name in names if name not in options.SET_MEASURES]
    if unknown:
        raise ValueError(f"there is no measure {unknown[0]!r}; there are {', '.join(options.SET_MEASURES)}")
    return names


@click.command(epilog=EXAMPLES, short_help="Train or fine-tune a network on pictures.")
@click.argument("data", type=InputFolder())
@click.option("--outdir", type=OUTPUT, required=True, help="Where snapshots, grids and logs go.")
@click.option(
    "--network", type=NETWORK_FILE, help="Fine-tune this: a file of ours, or anything stylegan-convert reads."
)
@options.SHA256
@click.option("--config", type=INPUT, help="Recipe (.toml): new networks, and settings.")
@click.option(
    "--cfg",
    metavar="NAME",
    help="Configuration of the official trainers: auto, stylegan2, paper256, paper512, paper1024, cifar, "
    "stylegan2-sg3, stylegan3-t or stylegan3-r. New networks; with --network, its settings only.",
)
@click.option(
    "--resolution",
    type=click.IntRange(min=4),
    metavar="R",
    help="Side of the pictures of new networks by --cfg.  [default: the first picture's]",
)
@click.option("--cond", "conditional", is_flag=True, help="New networks by --cfg take the pictures' labels.")
@click.option("--resume", is_flag=True, help="Go on from the last snapshot in --outdir.")
@click.option("--kimg", type=FiniteRange(min=0), help="Train until so many thousand pictures were shown.")
@click.option("--batch", type=click.IntRange(min=1), help="Pictures of a step, over all processes.")
@click.option("--at-once", type=click.IntRange(min=1), help="Pictures a process takes at once; fewer need less memory.")
@click.option(
    "--freeze-d",
    "--freezed",
    "freeze_d",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep the discriminator's first N layers.",
)
@click.option(
    "--augment",
    "--aug",
    type=click.Choice(list(_AUGMENT)),
    callback=lambda _, __, value: _AUGMENT.get(value),
    help="ada = adaptive augmentation, for few pictures; fixed = with probability --p; noaug is none.",
)
@click.option(
    "--augpipe",
    "augment_groups",
    type=click.Choice(_PIPES),
    callback=lambda _, __, value: value and _groups(value),
    help="Which augmentations; bgc and so on are the first letters of several.  [default: bgc]",
)
@click.option("--p", "augment_p", type=FiniteRange(0, 1), help="Probability of augmentations; where ada begins.")
@click.option("--target", "augment_target", type=FiniteRange(-1, 1), help="Mean sign of real scores that ada aims at.")
@click.option("--gamma", "r1_gamma", type=FiniteRange(min=0), help="Weight of R1.")
@click.option("--flip", "--mirror", "flip", is_flag=True, default=None, help="Show pictures mirrored half of the time.")
@click.option("--subset", type=click.IntRange(min=1), metavar="N", help="Train on N of the pictures, chosen by --seed.")
@click.option("--seed", type=SEED, help="Everything random follows from it.")
@click.option("--set", "more", multiple=True, metavar="NAME=VALUE", help="Any other, such as path_length_weight=0.")
@options.bad("What to do about broken or tiny pictures.")
@click.option("--fresh-d", is_flag=True, help="Begin with an untrained discriminator where --network has none.")
@click.option("--snapshot-kimg", type=FiniteRange(min=0.001), default=100.0, show_default=True, help="Between two.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Half types are mixed with float32.  [default: float32, or the run's]",
)
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard.")
@click.option(
    "--metrics",
    callback=reading(_metrics),
    metavar="NAMES",
    help=f"Measure the network against DATA, and keep the best by the first: {','.join(options.SET_MEASURES)}.",
)
@click.option(
    "--metrics-kimg", type=FiniteRange(min=0.001), help="Between two measurements.  [default: --snapshot-kimg]"
)
@click.option(
    "--metrics-samples", type=click.IntRange(min=10), default=50_000, show_default=True, help="Pictures drawn for each."
)
@options.extractor("What --metrics are taken with.  [default: each one's own, as in the papers]")
@click.option(
    "-n", "--dry-run", "dry_run", is_flag=True, help="Only say what would be trained; nothing is written or prepared."
)
@click.option(
    "--cache", type=OUTPUT, help="Where prepared pictures and features go.  [default: the user's cache folder]"
)
@one_line_errors
def train(
    data: Path,
    outdir: Path,
    network: str | None,
    config: Path | None,
    cfg: str | None,
    resolution: int | None,
    conditional: bool,
    resume: bool,
    more: tuple[str, ...],
    bad: str,
    fresh_d: bool,
    snapshot_kimg: float,
    precision: str | None,
    tensorboard: bool,
    metrics: tuple[str, ...] | None,
    metrics_kimg: float | None,
    metrics_samples: int,
    extractor: str | None,
    features: Path | None,
    download: bool,
    cache: Path | None,
    at_once: int | None,
    dry_run: bool,
    **options: object,
) -> None:
    """Train a network on the pictures of DATA: a folder, a .zip or a WebDataset (.tar).

    Pictures are cut to the middle and resized once, into a cache. --set also knows what new networks look like, such as
    channel_max=256 (the fields of Networks). The labels for a conditional network are those of the
    official dataset.json; where there is none, sub-folders are classes. A run that was interrupted goes on with
    --resume as if nothing had happened.
    """
    if [bool(network), bool(config), resume, bool(cfg and not network)].count(True) != 1:
        raise click.UsageError("give one of --network, --config, --cfg and --resume; --cfg goes with --network too")
    if (resolution or conditional) and (network or not cfg):
        raise click.UsageError("--resolution and --cond are of new networks by --cfg")
    if not metrics and (metrics_kimg or extractor or features or download):
        raise click.UsageError("--metrics-kimg, --extractor, --features and --download go with --metrics")
    if not metrics:
        refuse_idle("--metrics", "metrics_samples")
    if not dry_run:
        refuse_existing([outdir / "snapshot"], force=True)
    with quick_imports():
        try:
            from accelerate.utils import get_int_from_env
        except ImportError as error:
            raise StyleGANError("training needs more packages: pip install 'stylegan-torch[train]'") from error
        from stylegan_torch.drawing.devices import best_device
        from stylegan_torch.training.metrics import open_metrics
        from stylegan_torch.training.run import alone_in
        from stylegan_torch.training.start import Plan
    given: JsonObject = {name: value for name, value in options.items() if value is not None} | dict(
        map(_setting, more)
    )
    plan = Plan(
        data,
        outdir,
        network=network,
        config=config,
        cfg=cfg,
        resolution=resolution,
        conditional=conditional,
        resume=resume,
        given=given,
        skip_bad=bad == "skip",
        fresh_d=fresh_d,
        precision=precision,
        at_once=at_once,
        cache=cache,
        dry_run=dry_run,
    )
    first = get_int_from_env(_RANKS, 0) == 0
    if dry_run:
        _preview(plan, first)
        return
    judge = None
    if metrics and first:  # before the work begins, as weights may be missing
        judge = open_metrics(
            metrics,
            best_device(),
            extractor=extractor,
            weights=features,
            download=download,
            kimg=metrics_kimg or snapshot_kimg,
            samples=metrics_samples,
            cache=cache,
        )
    with alone_in(outdir) if first else nullcontext():
        _train(plan, snapshot_kimg, tensorboard, judge)


def _preview(plan: Plan, first: bool) -> None:
    from stylegan_torch.training.configurations import configurations
    from stylegan_torch.training.preview import preview
    from stylegan_torch.training.start import start

    trainer, _ = start(plan, _load)
    if not first:
        return
    told = preview(trainer)
    if plan.cfg:
        about = configurations()[plan.cfg]
        told = {"configuration": [[name, about[name]] for name in ("release", "source", "note")], **told}
    for heading, rows in told.items():
        say(f"{heading}:", *(f"  {line}" for line in columns(rows)))
    say("Nothing was written: this was a dry run.")


def _groups(name: str) -> list[str]:
    from stylegan_torch.training.ada import COMBINATIONS

    return list(COMBINATIONS[name])


def _train(plan: Plan, snapshot_kimg: float, tensorboard: bool, metrics: Metrics | None) -> None:
    from stylegan_torch.training.start import start

    console = Console(stderr=True)

    def watched(pictures: Iterable[Picture]) -> Iterable[Picture]:
        return tracked(pictures, "Preparing pictures")

    trainer, run = start(plan, _load, watched)
    run.snapshot_kimg, run.tensorboard, run.metrics = snapshot_kimg, tensorboard, metrics
    main = trainer.accelerator.is_main_process
    if main and trainer.data.skipped:
        first = one_line(trainer.data.skipped[0])
        say(f"Skipped {len(trainer.data.skipped)} bad pictures, the first: {first}", err=True)
    if main and trainer.label_note:
        say(f"Note: {one_line(trainer.label_note)}", err=True)
    bars = (
        TextColumn("Training {task.completed:.1f} of {task.total:g} kimg"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(
        *bars,
        console=console,
        disable=not (main and console.is_terminal),
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("", total=trainer.settings.kimg)
        progress.update(task, completed=trainer.shown / 1000)
        for shown in run.train(trainer):
            progress.update(task, completed=shown / 1000)
    if main:
        snapshots = run.snapshots()
        where = f"the last snapshot is {snapshots[-1]}" if snapshots else "there was nothing to do"
        say(f"{trainer.shown / 1000:g} kimg shown; {where}")


def _load(network: str) -> Checkpoint:
    # Only a command may reach up to the converter, and only when it runs.
    import converter

    return converter.load(network, None)
