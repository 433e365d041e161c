"""From what a user asks for to a trainer that is ready."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import get_int_from_env

from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files.atomic import cache_folder, make_folder, spelled
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.registry import decode, kind_of
from stylegan_torch.pictures.collections import Picture, pictures
from stylegan_torch.pictures.decode import PictureSize
from stylegan_torch.text import without_secrets
from stylegan_torch.training.configurations import configured
from stylegan_torch.training.dataset import Dataset, blank, glance, labels_used, prepare
from stylegan_torch.training.recipes import Networks, Trio, networks_of, new_networks, recipe_tables
from stylegan_torch.training.run import Run
from stylegan_torch.training.settings import PRESETS, Settings, preset
from stylegan_torch.training.trainer import Trainer
from stylegan_torch.types import JsonObject

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_PATIENCE = timedelta(hours=6)
"""How long processes wait for the one that prepares the pictures."""
_WORLD = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]
"""Where launchers say how many processes train together, as accelerate reads it."""


@dataclass(frozen=True)
class Plan:
    """What to train on what.

    Begin with one of `network` (the name of a checkpoint), `config` (a recipe), `cfg` (a configuration of the official
    trainers, whose settings a `network` may also be fine-tuned with) and `resume` (the run in `outdir`).

    given: settings in place of the recipe's, the run's or the family's; with `config` and `cfg` also of `Networks`.
    resolution, conditional: of new networks by `cfg`: None = as the first picture is large; whether they take labels.
    skip_bad: leave bad pictures out. fresh_d: make a discriminator where the checkpoint has none.
    precision: "float32", "bfloat16" or "float16"; None = the run's, or float32.
    at_once: pictures a process takes at once; None = the run's, or all of its share.
    cache: where prepared pictures go; None = the user's cache folder.
    dry_run: make ready without looking into pictures or writing anything; nothing can be trained.
    """

    data: Path
    outdir: Path
    network: str | None = None
    config: Path | None = None
    cfg: str | None = None
    resolution: int | None = None
    conditional: bool = False
    resume: bool = False
    given: JsonObject = field(default_factory=dict)
    skip_bad: bool = False
    fresh_d: bool = False
    precision: str | None = None
    at_once: int | None = None
    cache: Path | None = None
    dry_run: bool = False


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
    if settings.augment == "none" and plan.given.keys() & {"augment_p", "augment_target", "augment_groups"}:
        raise StyleGANError("--p, --target and --augpipe go with --aug: nothing is augmented")
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[about["precision"]], kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)]
    )
    (height, width), c_dim = networks["G"].img_size, networks["G"].c_dim
    labels_from, note = labels_used(plan.data, c_dim)
    size = PictureSize(height, width, networks["G"].img_channels)
    if plan.dry_run:
        data = blank(list(pictures(plan.data, labels_from)), size)
    else:
        with accelerator.main_process_first():  # the others then find the pictures prepared
            data = prepare(plan.data, size, cache, skip_bad=plan.skip_bad, watch=watch, labels_from=labels_from)
    found = _found(data, c_dim)
    if settings.subset:
        data = data.subset(settings.subset, settings.seed)
        found["subset"] = [settings.subset, settings.seed]
    before = about.get("found", found)
    if found != {"labels": found["labels"], **before}:  # of older runs the labels are not known
        raise StyleGANError(
            f"{plan.data} has {_described(found)}, the run in {plan.outdir} was on {_described(before)}"
            f"{_difference(found, before)}: "
            "to go on with other pictures, begin a new run from its last snapshot (--network)"
        )
    about["found"] = found
    if not plan.dry_run:
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
    some = f", of which {found['subset'][0]} are taken" if "subset" in found else ""
    return f"{found['pictures']} pictures" + f" in {len(found['classes'])} classes" * bool(found["classes"]) + some


def _difference(found: JsonObject, before: JsonObject) -> str:
    """Return what `_described` does not tell."""
    if _described(found) != _described(before):
        return ""
    return " with other labels" if found.get("subset") == before.get("subset") else " with another seed"


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
    if not plan.network:
        recipe, given, origin = _new(plan)
        settings = _settings(recipe.family, recipe.settings | given, origin)
        about = {"family": recipe.family, "start": spelled(Path(origin).name), **more}
        return new_networks(recipe, settings.seed), settings, None, about
    content = load(str(plan.network))
    generators = [net.config for role, net in content.networks.items() if role != "D"]
    if not generators:
        raise StyleGANError(f"{plan.network}: there is no generator in it")
    family, _ = kind_of(generators[0])
    if family not in PRESETS:
        raise StyleGANError(f"{plan.network}: networks of the family {family} are drawn with, but not trained")
    own = _of_cfg(plan, family, max(generators[0].img_size)) if plan.cfg else {}
    settings = _settings(family, own | plan.given, "--set")
    try:
        networks = networks_of(content, plan.fresh_d, settings.seed)
    except CheckpointError:
        raise
    except StyleGANError as error:
        raise StyleGANError(f"{plan.network}: {error}") from error
    origin = content.provenance.get("origin", {}).get("name", spelled(Path(without_secrets(str(plan.network))).name))
    return networks, settings, None, {"family": family, "start": origin, **more}


def _new(plan: Plan) -> tuple[Networks, JsonObject, str]:
    """Return what new networks are to look like, their settings, and what both come from."""
    ours = {field.name for field in fields(Networks)}
    given = {name: value for name, value in plan.given.items() if name not in ours}
    looks = {name: value for name, value in plan.given.items() if name in ours}
    if plan.config:
        networks, training = recipe_tables(plan.config)
        origin = str(plan.config)
    else:
        size, origin = _size_for(plan), str(plan.cfg)
        networks, training = _configured(plan, size["resolution"])
        networks |= size
    try:
        return decode(Networks, networks | looks), training | given, origin
    except CheckpointError as error:
        raise StyleGANError(f"{origin}: {error}") from error


def _size_for(plan: Plan) -> JsonObject:
    """Return the size, channels and labels that new networks are to have for the pictures."""
    data = glance(plan.data, "all" if plan.conditional else "none", skip_bad=plan.skip_bad)
    channels, height, width = data.pictures.shape[1:]
    resolution = plan.given.get("resolution", plan.resolution)
    if plan.conditional and not data.c_dim:
        raise StyleGANError(f"--cond: the pictures of {plan.data} have no labels")
    if resolution is None and (height != width or height & (height - 1)):
        raise StyleGANError(
            f"{plan.data}: the first picture is {width}×{height}, not square with a power of two: give --resolution"
        )
    return {
        "resolution": resolution if isinstance(resolution, int) and resolution > 0 else height,
        "img_channels": channels,
        "c_dim": data.c_dim if plan.conditional else 0,
    }


def _of_cfg(plan: Plan, family: str, resolution: int) -> JsonObject:
    """Return the settings of a configuration for networks that there are."""
    networks, training = _configured(plan, resolution)
    if networks["family"] != family:
        raise StyleGANError(f"--cfg {plan.cfg} is for networks of the family {networks['family']}, this is of {family}")
    return {name: value for name, value in training.items() if not name.startswith("blur_")}


def _configured(plan: Plan, resolution: int) -> tuple[JsonObject, JsonObject]:
    batch = plan.given.get("batch")
    usable = batch if isinstance(batch, int) and batch > 0 else None  # others will be refused as settings
    return configured(str(plan.cfg), resolution, processes=get_int_from_env(_WORLD, 1), batch=usable)


def _settings(family: str, given: JsonObject, where: str) -> Settings:
    try:
        return preset(family, given)
    except CheckpointError as error:
        raise StyleGANError(f"{where}: {error}") from error
