"""From what a user asks for to a trainer that is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from stylegan_torch.checkpoint import Checkpoint
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files import cache_folder, make_folder
from stylegan_torch.networks import kind_of
from stylegan_torch.training.data import Dataset, Form, Picture, prepare
from stylegan_torch.training.recipes import networks_of, new_networks, read_recipe
from stylegan_torch.training.run import Run
from stylegan_torch.training.settings import Settings, preset
from stylegan_torch.training.trainer import Trainer

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Plan:
    """What to train on what.

    Begin with one of `network` (the name of a checkpoint), `config` (a recipe) and `resume` (the run in `outdir`).

    given: settings in place of the recipe's, the run's or the family's.
    skip_bad: leave bad pictures out. fresh_d: make a discriminator where the checkpoint has none.
    precision: "float32", "bfloat16" or "float16". at_once: pictures a process takes at once; None = all of its share.
    cache: where prepared pictures go; None = the user's cache folder.
    """

    data: Path
    outdir: Path
    network: str | None = None
    config: Path | None = None
    resume: bool = False
    given: dict[str, Any] = field(default_factory=dict)
    skip_bad: bool = False
    fresh_d: bool = False
    precision: str = "float32"
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
    accelerator = Accelerator(mixed_precision=PRECISIONS[plan.precision])
    run = Run(plan.outdir)
    if not plan.resume and run.snapshots():
        raise StyleGANError(f"{plan.outdir} has a run in it: go on with --resume, or name another --outdir")
    networks, settings, state, about = _beginning(plan, run, load)
    data = _data(plan, networks["G"], accelerator, watch)
    make_folder(plan.outdir)
    trainer = Trainer(networks["G"], networks["D"], networks["G_ema"], data, settings, accelerator, plan.at_once)
    if state:
        trainer.restore(state)
    run.about = about | {"data": plan.data.name}
    return trainer, run


def _beginning(
    plan: Plan, run: Run, load: Callable[[str], Checkpoint]
) -> tuple[dict[str, Any], Settings, dict[str, Any] | None, dict[str, Any]]:
    """Return networks by role, settings, the state to restore or None, and what to say of the beginning."""
    if plan.resume:
        content, state = run.load()
        about = content.provenance["training"]
        settings = _settings(about["family"], about["settings"] | plan.given, "--set")
        return networks_of(content), settings, state, {key: about[key] for key in ("family", "start")}
    if plan.config:
        recipe, given = read_recipe(plan.config)
        settings = _settings(recipe.family, given | plan.given, str(plan.config))
        networks = new_networks(recipe, settings.seed)
        return networks, settings, None, {"family": recipe.family, "start": plan.config.name}
    content = load(str(plan.network))
    try:
        networks = networks_of(content, plan.fresh_d)
    except CheckpointError:
        raise
    except StyleGANError as error:
        raise StyleGANError(f"{plan.network}: {error}") from error
    family, _ = kind_of(networks["G"].config)
    origin = content.provenance.get("origin", {}).get("name", Path(str(plan.network)).name)
    return networks, _settings(family, plan.given, "--set"), None, {"family": family, "start": origin}


def _settings(family: str, given: dict[str, Any], where: str) -> Settings:
    try:
        return preset(family, given)
    except CheckpointError as error:
        raise StyleGANError(f"{where}: {error}") from error


def _data(plan: Plan, G: Any, accelerator: Accelerator, watch: Callable[..., Any]) -> Dataset:
    """Prepare the pictures in one process; the others then find them there."""
    height, width = G.img_size
    form = Form(height, width, G.img_channels)
    cache = plan.cache or cache_folder() / "pictures"
    with accelerator.main_process_first():
        return prepare(plan.data, form, cache, plan.skip_bad, watch)
