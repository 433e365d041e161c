"""`stylegan blend`: one network of several that have an ancestor in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import NETWORK_FILE
from stylegan_torch.commands.networks import names_of, read_all, refuse_inputs
from stylegan_torch.commands.terminal import finite, one_line_errors, quick_imports, reading, say
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns

if TYPE_CHECKING:
    from stylegan_torch.editing.blending import Blend

Layer = tuple[str, tuple[float, ...]]
EXAMPLES = """\b
Examples:
  stylegan blend ffhq.pt toons.pt --at 32 --out blended.pt
  stylegan blend ffhq.pt toons.pt --at 32 --soft --mapping b --out blended.pt
  stylegan blend ffhq.pt toons.pt --weights 0.3,0.7 --out between.pt
  stylegan blend ffhq.pt toons.pt --weights 1,0 --layer 4-16=0.5,0.5 --layer synthesis.b64.torgb=0,1 --out some.pt
  stylegan blend run/network-*.pt --out mean.pt
"""


def parse_weights(text: str) -> tuple[float, ...]:
    """Read numbers with commas between."""
    return tuple(finite(part) for part in text.split(","))


def parse_layers(texts: tuple[str, ...]) -> list[Layer]:
    """Read texts such as "4-16=0.5,0.5"."""
    found = []
    for text in texts:
        where, _, weights = text.partition("=")
        if not where or not weights:
            raise ValueError(f"{text!r} is not layers and weights, such as 4-16=0.5,0.5")
        found.append((where, parse_weights(weights)))
    return found


@click.command(epilog=EXAMPLES, short_help="Make one network of several with a common ancestor.")
@click.argument("networks", type=NETWORK_FILE, nargs=-1, required=True)
@options.NEW_NETWORK
@click.option("--at", type=click.IntRange(min=1), metavar="SIDE", help="Take layers below this of a, from it on of b.")
@click.option("--soft", is_flag=True, help="Let --at go over on four levels, not at once.")
@click.option(
    "--mapping",
    metavar="LETTER",
    help="Whose mapping network to take: a, b … by their order.  [default: a with --at, else as other layers]",
)
@click.option(
    "--weights",
    callback=reading(parse_weights),
    metavar="W,W…",
    help="Of the networks, in their order; they add up to 1.  [default: the mean]",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    callback=reading(parse_layers),
    metavar="WHICH=W,W…",
    help="Weights of some layers: mapping, 32, 4-16, or how names of tensors begin. The last that fits counts.",
)
@options.SHA256
@click.option("--force-unrelated", is_flag=True, help="Blend networks without a common ancestor, too.")
@click.option("--force-settings", is_flag=True, help="Take a's settings where they differ but all shapes are the same.")
@options.FORCE
@one_line_errors
def blend(
    networks: tuple[str, ...],
    out: Path,
    at: int | None,
    soft: bool,
    mapping: str | None,
    weights: tuple[float, ...] | None,
    layers: list[Layer],
    force_unrelated: bool,
    force_settings: bool,
    force: bool,
) -> None:
    """Blend NETWORKS: swap layers at a resolution, or sum tensors by weights.

    They are of one shape, and come from one network that was trained on; which the distance of their weights shows.
    Every network that all files have is blended, so that the result can be trained on where there are G_ema, G and D.
    Of equal networks comes the same network, bit for bit.
    """
    if at is None and soft:
        raise click.UsageError("--soft goes with --at")
    if at is not None and weights:
        raise click.UsageError("give --at or --weights, not both")
    if at is not None and len(networks) != 2:
        raise click.UsageError(f"--at takes two networks, not {len(networks)}")
    if len(networks) < 2:
        raise click.UsageError("name two networks at least")
    whose = _number(mapping, len(networks))
    refuse_inputs(out, networks)
    refuse_existing([out], force)
    with quick_imports():
        from stylegan_torch.editing import blending
        from stylegan_torch.files import checkpoint
    names = names_of(networks)
    content = {name: read_all(network) for name, network in zip(names, networks, strict=True)}
    rules = []
    if at is not None:
        configs = [each.config for each in content[names[0]].networks.values()]
        rules += blending.swap(configs, at, soft=soft, mapping=whose or 0)
    elif whose is not None:
        rules.append(blending.Rule(blending.MAPPING, tuple(float(i == whose) for i in range(len(networks)))))
    rules += [blending.Rule(*layer) for layer in layers]
    result = blending.blend(
        content, rules, weights=weights, allow_unrelated=force_unrelated, allow_settings=force_settings
    )
    checkpoint.write(out, result.checkpoint, force)
    _tell(result, names, out)


def _number(letter: str | None, count: int) -> int | None:
    """Return which network a letter means, from 0."""
    if letter is None:
        return None
    letters = [chr(ord("a") + i) for i in range(min(count, 26))]
    if letter not in letters:
        raise click.BadParameter(f"{letter!r} is none of {', '.join(letters)}", param_hint="--mapping")
    return letters.index(letter)


def _tell(result: Blend, names: list[str], out: Path) -> None:
    for words in result.settings:
        say(f"Note: {words}; taken as {names[0]} has it.", err=True)
    for role in result.missing:
        say(f"Note: {role} is left out, which not all of the files have.", err=True)
    for role, distances in result.distances.items():
        rows = [[role, "apart", *names]]
        for level, apart in distances.items():
            shares = result.weights[role][level]
            cells = ["mixed"] * len(names) if shares is None else [f"{share:.3g}" for share in shares]
            rows.append([level, "" if math.isnan(apart) else f"{apart:.3f}", *cells])
        say(*columns(rows))
    say("apart: 0 = the same weights, about 1 = those of independent networks")
    say(f"Blended {', '.join(result.checkpoint.networks)} of {len(names)} files: {out}")
