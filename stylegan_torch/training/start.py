"""From what a user asks for to a trainer that is ready."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator, InitProcessGroupKwargs

from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files.atomic import cache_folder, make_folder, spelled
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.registry import kind_of
from stylegan_torch.pictures.collections import Picture
from stylegan_torch.pictures.decode import PictureSize
from stylegan_torch.training.dataset import Dataset, labels_used, prepare
from stylegan_torch.training.recipes import Trio, networks_of, new_networks, read_recipe
from stylegan_torch.training.run import Run
from stylegan_torch.training.settings import PRESETS, Settings, preset
from stylegan_torch.training.trainer import Trainer
from stylegan_torch.types import JsonObject

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_PATIENCE = timedelta(hours=6)
"""How long processes wait for the one that prepares the pictures."""


@dataclass(frozen=True)
class Plan:
    """What to train on what.

    Begin with one of `network` (the name of a checkpoint), `config` (a recipe) and `resume` (the run in `outdir`).

    given: settings in place of the recipe's, the run's or the family's.
    skip_bad: leave bad pictures out. fresh_d: make a discriminator where the checkpoint has none.
    precision: "float32", "bfloat16" or "float16"; None = the run's, or float32.
    at_once: pictures a process takes at once; None = the run's, or all of its share.
    cache: where prepared pictures go; None = the user's cache folder.
    """

    data: Path
    outdir: Path
    network: str | None = None
    config: Path | None = None
    resume: bool = False
    given: JsonObject = field(default_factory=dict)
    skip_bad: bool = False
    fresh_d: bool = False
    precision: str | None = None
    at_once: int | None = None
    cache: Path | None = None


def start(
    plan: Plan,
    load: Callable[[str], Checkpoint],
    watch: Callable[[Iterable[Picture]], Iterable[Picture]] = lambda pictures: pictures,
) -> tuple[Trainer, Run]:
    """Return a trainer with networks and data in place, and the run that it is to work in.

    Args:
        plan: what is asked for.
        load: reads a checkpoint by name.
        watch: may show progress while pictures are prepared.

    Raises:
        StyleGANError: if something does not exist, or does not fit.
    """
    run = Run(plan.outdir)
    if not plan.resume and run.snapshots():
        raise StyleGANError(f"{plan.outdir} has a run in it: go on with --resume, or name another --outdir")
    cache = plan.cache or cache_folder() / "pictures"
    for name, folder in (("--outdir", plan.outdir), ("--cache", cache)):
        if folder.resolve().is_relative_to(plan.data.resolve()):
            raise StyleGANError(f"{name} {folder} is inside {plan.data}: its pictures would be trained on too")
    networks, settings, state, about = _beginning(plan, run, load)
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[about["precision"]], kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)]
    )
    (height, width), c_dim = networks["G"].img_size, networks["G"].c_dim
    labels_from, note = labels_used(plan.data, c_dim)
    with accelerator.main_process_first():  # the others then find the pictures prepared
        size = PictureSize(height, width, networks["G"].img_channels)
        data = prepare(plan.data, size, cache, skip_bad=plan.skip_bad, watch=watch, labels_from=labels_from)
    found = _found(data, c_dim)
    before = about.get("found", found)
    if found != {"labels": found["labels"], **before}:  # of older runs the labels are not known
        raise StyleGANError(
            f"{plan.data} has {_described(found)}, the run in {plan.outdir} was on {_described(before)}"
            f"{' with other labels' * (_described(found) == _described(before))}: "
            "to go on with other pictures, begin a new run from its last snapshot (--network)"
        )
    about["found"] = found
    make_folder(plan.outdir)
    at_once = about["at_once"]
    trainer = Trainer(
        networks["G"], networks["D"], networks["G_ema"], data, settings, accelerator=accelerator, at_once=at_once
    )
    if state:
        trainer.restore(state)
    trainer.label_note = trainer.label_note or note
    run.about = about | {"data": spelled(plan.data.name)}
    return trainer, run


def _found(data: Dataset, c_dim: int) -> JsonObject:
    """Return what must stay the same when a run goes on; labels only if the network takes any."""
    labels = data.classes.astype("<i8") if data.vectors is None else data.vectors.astype("<f4")
    digest = hashlib.sha256(labels.tobytes()).hexdigest() if c_dim else None
    return {"pictures": len(data), "classes": [spelled(name) for name in data.class_names], "labels": digest}


def _described(found: JsonObject) -> str:
    return f"{found['pictures']} pictures" + (f" in {len(found['classes'])} classes" if found["classes"] else "")


def _beginning(
    plan: Plan, run: Run, load: Callable[[str], Checkpoint]
) -> tuple[Trio, Settings, JsonObject | None, JsonObject]:
    """Return networks by role, settings, the state to restore or None, and what snapshots are to say of the run."""
    about: JsonObject
    if plan.resume:
        content, state = run.load()
        about = dict(content.provenance["training"])
        before = about.pop("settings")
        settings = _settings(about["family"], before | plan.given, "--set")
        if settings.freeze_d != before["freeze_d"]:
            raise StyleGANError(f"--freeze-d: this run has {before['freeze_d']} frozen layers, which cannot be changed")
        chosen = {"precision": plan.precision, "at_once": plan.at_once}
        about |= {name: value for name, value in chosen.items() if value is not None}
        return networks_of(content), settings, state, about
    more = {"precision": plan.precision or "float32", "at_once": plan.at_once}
    if plan.config:
        recipe, given = read_recipe(plan.config)
        settings = _settings(recipe.family, recipe.settings | given | plan.given, str(plan.config))
        about = {"family": recipe.family, "start": spelled(plan.config.name), **more}
        return new_networks(recipe, settings.seed), settings, None, about
    content = load(str(plan.network))
    generators = [net.config for role, net in content.networks.items() if role != "D"]
    if not generators:
        raise StyleGANError(f"{plan.network}: there is no generator in it")
    family, _ = kind_of(generators[0])
    if family not in PRESETS:
        raise StyleGANError(f"{plan.network}: networks of the family {family} are drawn with, but not trained")
    settings = _settings(family, plan.given, "--set")
    try:
        networks = networks_of(content, plan.fresh_d, settings.seed)
    except CheckpointError:
        raise
    except StyleGANError as error:
        raise StyleGANError(f"{plan.network}: {error}") from error
    origin = content.provenance.get("origin", {}).get("name", spelled(Path(str(plan.network)).name))
    return networks, settings, None, {"family": family, "start": origin, **more}


def _settings(family: str, given: JsonObject, where: str) -> Settings:
    try:
        return preset(family, given)
    except CheckpointError as error:
        raise StyleGANError(f"{where}: {error}") from error
