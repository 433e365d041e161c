"""`stylegan bulk`: sets of pictures of any size."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.given import allows_nonfinite, allows_tf32
from stylegan_torch.commands.inputs import NETWORK_FILE
from stylegan_torch.commands.networks import usable_device
from stylegan_torch.commands.terminal import Command, FiniteRange, one_line_errors, quick_imports, reading, say
from stylegan_torch.errors import StyleGANError
from stylegan_torch.text import did_you_mean

if TYPE_CHECKING:
    from stylegan_torch.bulk import Filter, Plan, State

_SHOWN = 20
"""Faults, or pictures, that are told one by one."""
EXAMPLES = """\b
Examples:
  stylegan bulk --network ffhq.pt --count 1_000_000 --truncation 0.7 --out faces/ --shard-size 1000
  stylegan bulk --count 100_000 --out faces/ --workers 8 --best 0.9 --distinct 4
  stylegan bulk --config faces.toml --out s3://bucket/faces --engine ray
  stylegan bulk resume faces/
  stylegan bulk verify faces/ --redraw 0.001
"""
_SLURM = """#!/bin/bash
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={threads}
# Each task draws its share of the shards; when all are done, finish the set with
#   stylegan bulk resume {place} --engine none
first=$((SLURM_ARRAY_TASK_ID * {share}))
last=$((first + {share} - 1))
stylegan bulk resume {place} --engine none --shards $first-$((last < {shards} ? last : {shards} - 1))
"""


class _Group(Command, click.Group):
    """A command that has sub-commands too."""


def _read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """Take what a file says for the options that are not given."""
    if path is None:
        return
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise click.BadParameter(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{path} is no text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise click.BadParameter(f"{path}: {error}") from error
    known = {each.opts[0].lstrip("-"): each.name for each in ctx.command.params}
    strange = next((name for name in content if name.replace("_", "-") not in known), None)
    if strange:
        hint = did_you_mean(strange.replace("_", "-"), known)
        raise click.BadParameter(f"{path}: there is no option {strange}" + (hint and f"; {hint}"))
    several = {each.name for each in ctx.command.params if getattr(each, "multiple", False)}
    given = {str(known[name.replace("_", "-")]): value for name, value in content.items()}
    ctx.default_map = {
        name: [value] if name in several and not isinstance(value, list) else value for name, value in given.items()
    }


def _parse(name: str) -> Callable[[Any], Any]:
    """Return what reads an option's text by a function of the library, which is imported only then."""

    def parse(text: Any) -> Any:
        from stylegan_torch.bulk import samples

        read = getattr(samples, name)
        return [read(each) for each in text] if isinstance(text, tuple) else read(text)

    return parse


def _truncations(texts: tuple[str, ...]) -> Any:
    from stylegan_torch.bulk import samples

    return samples.parse_truncations(texts)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(" ", "").split(",") if word)


def _shards(text: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise ValueError(f"{text!r} is not a range of shards such as 0-99")
    return range(int(first), int(last or first) + 1)


ENGINE = click.option(
    "--engine",
    type=click.Choice(["local", "none", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="local = processes of this machine; none = this process; ray = a Ray cluster, joined or started; "
    "slurm = only print the script of an array job.",
)
WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many draw.  [default: one a card, or core, there is]",
)


def _use_cluster(ctx: click.Context, param: click.Parameter, address: str | None) -> None:
    """Say to Ray, by what it reads itself, which cluster is to draw."""
    if address:
        os.environ["RAY_ADDRESS"] = address


ADDRESS = click.option(
    "--address",
    expose_value=False,
    callback=_use_cluster,
    metavar="HOST:PORT",
    help="Of a Ray cluster.  [default: RAY_ADDRESS, or one that runs here, or a new one]",
)
NETWORKS = click.option(
    "--network", "networks", type=NETWORK_FILE, multiple=True, help="May be given again: each draws its share."
)
PROGRESS = click.option("--json-lines", is_flag=True, help="Say how far it is as lines of JSON, on standard error.")
TRUST = click.option(
    "--trust-sizes", is_flag=True, help="Take shards for whole by the sizes of their files, without reading them."
)
RUNNING = options.block(ENGINE, WORKERS, ADDRESS, options.SIGN, PROGRESS, TRUST)


@click.group(
    cls=_Group, invoke_without_command=True, epilog=EXAMPLES, short_help="Sets of pictures of any size, by shards."
)
@click.option(
    "--config",
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    metavar="FILE",
    help="A .toml of these options by their names; what is given beside it counts more.",
)
@NETWORKS
@click.option("--count", type=int, metavar="N", help="Pictures in all, such as 1_000_000.")
@click.option("--out", "place", metavar="PLACE", help="A folder, or a URL that fsspec knows, such as s3://bucket/set.")
@click.option("--shard-size", type=click.IntRange(min=1), default=1000, show_default=True, help="Pictures of a shard.")
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the first picture.")
@click.option(
    "--truncation",
    multiple=True,
    callback=reading(_truncations),
    metavar="PSI[@LAYERS]",
    help="A number, or a range that it is drawn from, such as 0.5-1. Again, with @LAYERS: what these layers have "
    "instead.  [default: the network's own]",
)
@options.centres()
@click.option(
    "--classes",
    callback=reading(_parse("parse_classes")),
    metavar="WHICH",
    help="balanced = every class in turn; 1,5,7 = these; 0:3,1:1 = drawn with weights.  [default: none]",
)
@click.option(
    "--variations",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Pictures of each seed, under one identity; the first as it is, the others moved by --vary.",
)
@click.option(
    "--vary",
    "moves",
    multiple=True,
    callback=reading(_parse("parse_random_move")),
    metavar="MOVE",
    help="Move along a direction by a strength drawn from a range: pca:0=-2,2 or smile.npz:0=0,3@4-8.",
)
@options.layers("--mixing", help="Layers that take their styles from another seed.", metavar="LAYERS")
@click.option("--latents", default="", metavar="FILE", help="Rows of this file instead of seeds.")
@options.noise(help="As stylegan-generate does; random = of each picture's seed.")
@click.option(
    "--choices",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another number draws other psis, strengths, classes and partners for the same seeds.",
)
@click.option(
    "--best",
    type=FiniteRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Only those the discriminator likes best.",
)
@click.option(
    "--side",
    multiple=True,
    metavar="DIRECTION",
    help="Only w beyond the mean along a direction: smile.npz:0 or pca:0>1.",
)
@click.option("--balance", multiple=True, metavar="DIRECTION", help="Every second one beyond, the others not.")
@click.option(
    "--distinct",
    type=click.IntRange(0, 20),
    metavar="BITS",
    help="None whose perceptual hash (64 bits) is so near to an earlier one's.",
)
@click.option(
    "--filter",
    "programs",
    multiple=True,
    metavar="MODULE:FUNCTION",
    help="Only those for which this function of yours returns at least 0.5; it runs your code.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["webdataset", "zip", "huggingface", "folder"]),
    default="webdataset",
    show_default=True,
    help="zip is NVIDIA's, one file in the end.",
)
@click.option(
    "--encoder",
    type=click.Choice(["png", "webp", "jpeg", "npy"]),
    default="png",
    show_default=True,
    help="Of pictures; webp is lossless.",
)
@click.option("--quality", type=click.IntRange(1, 95), default=95, show_default=True, help="Of JPEG.")
@click.option(
    "--columns",
    callback=reading(_words),
    default="sharpness,phash",
    show_default=True,
    help="What the tables have besides: sharpness, phash, score (the discriminator's), w (as float16).",
)
@options.batch(8)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of each worker, on a CPU.")
@options.DEVICE
@options.DTYPE
@options.TF32
@options.NONFINITE
@options.MARK
@RUNNING
@click.pass_context
@one_line_errors
def bulk(ctx: click.Context, **given: Any) -> None:
    """Draw a set of pictures, shard by shard; the same command goes on with it, whatever stopped it.

    What is drawn follows from the options alone, byte for byte on like hardware, however many workers there are.
    PLACE/manifest.json has them all. Pictures that a filter rejects are listed, and replaced by others of their own.
    """
    if ctx.invoked_subcommand:
        return
    for name, option in (("count", "--count"), ("place", "--out")):
        if given[name] is None:
            raise click.UsageError(f"Missing option '{option}'.")
    if given["encoder"] != "jpeg":
        options.refuse_idle("--encoder jpeg", "quality")
    with quick_imports():
        from stylegan_torch.bulk import begin
    plan = begin(given["place"], _plan(given))
    _go_on(given["place"], plan, given)


@bulk.command(cls=Command, short_help="Go on with a set.")
@click.argument("place")
@NETWORKS
@click.option("--shards", callback=reading(_shards), metavar="A-B", help="Only these; the set is not finished then.")
@RUNNING
@one_line_errors
def resume(place: str, **given: Any) -> None:
    """Draw what the set at PLACE lacks, as its manifest says."""
    with quick_imports():
        from stylegan_torch.bulk import read_plan
    _go_on(place, read_plan(place), given)


@bulk.command(cls=Command, short_help="Check a set.")
@click.argument("place")
@click.option(
    "--redraw", type=FiniteRange(0, 1), default=0.0, metavar="SHARE", help="Draw this share again, and compare."
)
@NETWORKS
@one_line_errors
def verify(place: str, redraw: float, networks: tuple[str, ...]) -> None:
    """Check that the set at PLACE is complete, that every file is what was written, and every picture of its seed."""
    with quick_imports():
        from stylegan_torch import bulk as library
    found = library.verify(place, redraw=redraw, networks=networks)
    for line in found.faults[:_SHOWN]:
        say(line)
    if len(found.faults) > _SHOWN:
        say(f"and {len(found.faults) - _SHOWN} more")
    again = f", {found.redrawn} drawn again" if redraw else ""
    say(f"{found.pictures} pictures looked at{again}: {'NOT as planned' if found.faults else 'all as planned'}")
    sys.exit(bool(found.faults))


def _plan(given: dict[str, Any]) -> Plan:
    import checkpoints
    from stylegan_torch import bulk as library

    truncation, layer_psis = given["truncation"]
    recipe = library.Recipe(
        first_seed=given["first_seed"],
        variations=given["variations"],
        truncation=truncation,
        layer_psis=layer_psis,
        centres=str(given["centres"] or ""),
        mixing=given["mixing"] or "",
        moves=tuple(given["moves"]),
        latents=given["latents"],
        noise=given["noise"],
        choices=given["choices"],
    )
    encoding = library.Encoding(given["encoder"], given["quality"], given["columns"], given["mark"])
    return library.plan(
        given["networks"] or [str(checkpoints.DEMO)],
        given["count"],
        recipe=recipe,
        classes=given["classes"],
        filters=_filters(given),
        device=usable_device(given["device"], given["dtype"]),
        shard_size=given["shard_size"],
        layout=given["layout"],
        encoding=encoding,
        batch=given["batch"],
        threads=given["threads"],
        dtype=given["dtype"],
        tf32=allows_tf32(),
        allow_nonfinite=allows_nonfinite(),
    )


def _filters(given: dict[str, Any]) -> list[Filter]:
    from stylegan_torch.bulk import Filter

    found = [Filter("best", given["best"])] if given["best"] else []
    for kind in ("side", "balance"):
        for text in given[kind]:
            name, _, least = text.partition(">")
            try:
                found.append(Filter(kind, float(least or 0), name))
            except ValueError as error:
                raise click.BadParameter(f"{text!r} is not a direction such as smile.npz:0 or pca:0>1") from error
    found += [Filter("program", 0.5, name) for name in given["programs"]]
    return found + ([Filter("distinct", given["distinct"])] if given["distinct"] is not None else [])


def _go_on(place: str, plan: Plan, given: dict[str, Any]) -> None:
    from stylegan_torch import bulk as library
    from stylegan_torch.bulk.engines.local import means

    if given["engine"] == "slurm":
        workers = given["workers"] or means(plan)
        share = -(-plan.shards // workers)
        last = -(-plan.shards // share) - 1
        script = _SLURM.format(last=last, threads=plan.threads, place=place, share=share, shards=plan.shards)
        say(*script.splitlines())
        return
    with _stoppable(), _shown(plan, given["json_lines"]) as on_progress:
        state = library.run(
            place,
            engine=given["engine"],
            workers=given["workers"],
            networks=given.get("networks", ()),
            shards=given.get("shards"),
            signer=given["signer"],
            trust=given["trust_sizes"],
            on_progress=on_progress,
        )
    rejected = f", {state.rejected} rejected" if plan.filters else ""
    say(f"{state.drawn} pictures drawn{rejected}; {state.done} of {plan.shards} shards are in {place}")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM, and Ctrl-C, into one line: shards that are not finished are dropped."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        raise StyleGANError("stopped; the same command goes on") from error
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shown(plan: Plan, json_lines: bool) -> Iterator[Callable[[State], None]]:
    """Give what tells how far a set is."""
    speed = _Speed()
    if json_lines:
        yield lambda state: say(json.dumps(speed.line(plan, state)), err=True)
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, disable=not console.is_terminal, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task("Drawing", total=plan.shards)

        def show(state: State) -> None:
            line = speed.line(plan, state)
            words = f"{line['per_second']} pictures/s" + (f", {line['rejected']:.0%} rejected" if plan.filters else "")
            bar.update(task, completed=state.done, total=state.shards, description=words)

        yield show


@dataclass
class _Speed:
    """Pictures a second, and what follows from it."""

    begun: float = field(default_factory=time.monotonic)

    def line(self, plan: Plan, state: State) -> dict[str, float]:
        """Return how far a set is: shards, pictures a second, seconds left, and the share of rejected pictures."""
        seconds = max(time.monotonic() - self.begun, 1e-9)
        left = (state.shards - state.done) * seconds / max(state.done, 1)
        return {
            "shards": state.done,
            "of": state.shards,
            "pictures": state.drawn,
            "per_second": round(state.drawn / seconds, 2),
            "seconds_left": round(left),
            "rejected": round(state.rejected / max(state.drawn + state.rejected, 1), 4),
        }
