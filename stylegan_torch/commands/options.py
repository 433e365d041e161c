"""Options and steps that several sub-commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE, DistanceFile, OutputFile, Pictures
from stylegan_torch.commands.terminal import finite, quick_imports, reading
from stylegan_torch.editing.composition import well_formed_layers

if TYPE_CHECKING:
    from stylegan_torch.editing.latents import Latents

NOISES = ("official", "const", "random", "none")
"""What can be done about noise, in every command: what the network's release does, stored maps, others, or nothing."""
OWN_TRUNCATION = "  [default: the network's own, as stylegan-generate]"

NETWORK = click.option(
    "--network",
    type=NETWORK_FILE,
    help="A file of ours, or anything stylegan-convert reads; - is standard input.  [default: the bundled one]",
)
DEVICE = click.option("--device", help="cpu, cuda, mps …  [default: the best there is]")
EXACT = click.option("--exact", is_flag=True, help="Draw with the plain form of the network, not the fast one.")
DISTANCE = click.option(
    "--distance",
    "distance_name",
    type=DistanceFile(),
    default="pyramid",
    show_default=True,
    help="pyramid needs no weights; lpips is the package; or a TorchScript file such as vgg16.pt.",
)
TRUST_DISTANCE = click.option(
    "--trust-distance", is_flag=True, help="Run the program that is in the file of --distance."
)
FORCE = click.option(
    "--force", is_flag=True, help="Replace files that exist; folders that are missing are made anyway."
)
COLUMNS = click.option(
    "--columns", type=click.IntRange(min=1), metavar="C", help="Of the sheet.  [default: near-square]"
)
CLASS = click.option(
    "--class", "class_index", type=click.IntRange(min=0), metavar="K", help="Class of a conditional network."
)


def truncation(help: str = "Truncation of seeds; 1 = none." + OWN_TRUNCATION) -> Callable[..., Any]:
    """Return the option `--truncation`; None where it is not given."""
    return click.option("--truncation", callback=reading(finite), metavar="PSI", help=help)


def latents_file(help: str, **options: Any) -> Callable[..., Any]:
    """Return the option `--latents`."""
    return click.option("--latents", type=INPUT, help=help, **options)


def layers(*names: str, **options: Any) -> Callable[..., Any]:
    """Return an option that chooses layers."""
    return click.option(*names, callback=reading(well_formed_layers), **options)


def sheet_file(default: str, help: str = "The sheet (.png).") -> Callable[..., Any]:
    """Return the option `--out` of a command that draws one."""
    return click.option("--out", type=OutputFile(".png"), default=default, show_default=True, help=help)


def save_latents(help: str) -> Callable[..., Any]:
    """Return the option `--save-latents`."""
    return click.option("--save-latents", type=OutputFile(".npz"), metavar="FILE", help=help)


def named(given: Pictures) -> list[int] | str:
    """Return what a picture's metadata says of where it comes from: seeds, or a file's name."""
    return given.name if isinstance(given, Path) else given


def names_of(given: Pictures, count: int) -> list[int] | list[str]:
    """Return the names of so many pictures: seeds, or the file's name and a number from 0, as me_0."""
    return [f"{given.stem}_{i}" for i in range(count)] if isinstance(given, Path) else given


def one_of(seeds: list[int] | None, latents: Path | None) -> Pictures:
    """Return what was given of --seeds and --latents; UsageError if that is none, or both."""
    if seeds is not None and latents is None:
        return seeds
    if latents is not None and seeds is None:
        return latents
    raise click.UsageError("give one of --seeds and --latents")


def chosen_layers(G: Any, text: str, option: str) -> list[int]:
    """Return the layers that an option chooses, as `layers_of` reads them; BadParameter if it cannot."""
    from stylegan_torch.editing.mixing import layers_of

    try:
        return layers_of(G, text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def latents_of(
    G: Any, given: Pictures, psi: float | None, class_index: int | None, all_layers: bool = False
) -> Latents:
    """Return the latents of seeds, or those of a file as they are.

    Seeds are truncated as stylegan-generate does: by psi, None = the network's own, and so many layers as are the
    network's own, or all.

    Raises:
        LatentsError: if the network has no W, or no such class, or the file is not for it.
    """
    from stylegan_torch.drawing.draw import truncation_of
    from stylegan_torch.editing.latents import from_seeds, load, require_w

    if isinstance(given, Path):
        return load(given, G)
    require_w(G)
    psi, cutoff = truncation_of(G, psi)
    return from_seeds(G, given, psi, None if all_layers else cutoff, class_index)


def note_no_class(network: Any, class_index: int | None, given: Iterable[Pictures | None] = ([],)) -> None:
    """Say that a conditional network does what it does for no class, unless one is given, or no seeds are."""
    if network.c_dim and class_index is None and any(isinstance(each, list) for each in given):
        click.echo(f"Note: no --class given; taking an all-zero label ({network.c_dim} classes).", err=True)


def write_latents(path: Path, parts: Sequence[Latents], G: Any, force: bool) -> None:
    """Write latents for a generator, one after the other.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    from stylegan_torch.editing.latents import joined, network_hash, save

    save(path, replace(joined(parts), network=network_hash(G)), force)


def usable_device(name: str | None) -> str:
    """Return the device asked for, by default the best there is; BadParameter if it is not here."""
    from stylegan_torch.drawing import draw

    try:
        return draw.usable_device(name) if name else draw.best_device()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error


@dataclass(frozen=True)
class Opened:
    """A generator to edit with: its plain form, the form to draw with, and what to say of its origin."""

    G: Any
    drawer: Any
    origin: dict[str, Any]


def open_generator(network: str | None, device: str | None = None, exact: bool = False) -> Opened:
    """Return a generator's moving average on a device; by default the bundled network.

    Raises:
        StyleGANError: if it cannot be read.
    """
    from stylegan_torch.fast import optimize
    from stylegan_torch.networks import stylegan3

    device = usable_device(device)
    checkpoint, name = _read(network, "G_ema")
    G = checkpoint.network("G_ema").to(device)
    if isinstance(G, stylegan3.Generator):  # upright whatever transform the file has, as stylegan-generate draws
        G.synthesis.input.transform.copy_(stylegan3.image_transform())
    origin = checkpoint.provenance.get("origin", {})
    about = {"name": origin.get("name", name), "sha256": origin.get("sha256")}
    return Opened(G, G if exact or device != "cpu" else optimize(G), about)


def open_discriminator(network: str | None, device: str | None = None) -> Any:
    """Return a network's discriminator."""
    device = usable_device(device)
    checkpoint, _ = _read(network, "D")
    return checkpoint.network("D").to(device)


def _read(network: str | None, role: str) -> tuple[Any, str]:
    # Only a command may reach up to the converter, and only when it runs.
    import checkpoints
    import converter

    name = network or str(checkpoints.DEMO)
    with quick_imports():
        return converter.load(name, [role]), Path(name).name
