"""Options and steps that several sub-commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stylegan_torch.command import finite, parse_seeds, quick_imports, reading
from stylegan_torch.editing.composition import is_file_of_latents
from stylegan_torch.files import make_folder

if TYPE_CHECKING:
    from stylegan_torch.editing.latents import Latents

PATH = click.Path(path_type=Path)
Pictures = list[int] | Path
"""Seeds, or a file of latents."""


def _usable_device(name: str) -> str:
    from stylegan_torch.generate import usable_device

    return usable_device(name)


NETWORK = click.option(
    "--network", help="A file of ours, or anything stylegan-convert reads.  [default: the bundled one]"
)
DEVICE = click.option(
    "--device", callback=reading(_usable_device), help="cpu, cuda, mps …  [default: the best there is]"
)
EXACT = click.option("--exact", is_flag=True, help="Draw with the plain form of the network, not the fast one.")
DISTANCE = click.option(
    "--distance",
    "distance_name",
    default="pyramid",
    show_default=True,
    help="pyramid needs no weights; lpips is the package; or a TorchScript file such as vgg16.pt.",
)
TRUST_DISTANCE = click.option(
    "--trust-distance", is_flag=True, help="Run the program that is in the file of --distance."
)
FORCE = click.option("--force", is_flag=True, help="Replace files that exist.")
COLUMNS = click.option(
    "--columns", type=click.IntRange(min=1), metavar="C", help="Of the sheet.  [default: near-square]"
)
CLASS = click.option(
    "--class", "class_index", type=click.IntRange(min=0), metavar="K", help="Class of a conditional network."
)


def truncation(default: float | None, help: str = "Truncation; 1 = none.") -> Callable[..., Any]:
    """Return the option `--truncation`."""
    shown = None if default is None else str(default)
    return click.option(
        "--truncation", callback=reading(finite), metavar="PSI", help=help, default=shown, show_default=True
    )


def _ending(suffix: str) -> Callable[..., Any]:
    def read(text: str) -> Path:
        if Path(text).suffix.lower() != suffix:
            raise ValueError(f"{text} does not end in {suffix}")
        return Path(text)

    return reading(read)


def sheet_file(default: str, help: str = "The sheet (.png).") -> Callable[..., Any]:
    """Return the option `--out` of a command that draws one."""
    return click.option("--out", type=PATH, callback=_ending(".png"), default=default, show_default=True, help=help)


def save_latents(help: str) -> Callable[..., Any]:
    """Return the option `--save-latents`."""
    return click.option("--save-latents", type=PATH, callback=_ending(".npz"), metavar="FILE", help=help)


def pictures_of(text: str) -> Pictures:
    """Read seeds such as "1,5-9", or the name of a file of latents (.npz, .npy).

    Raises:
        ValueError: if it is neither.
    """
    return Path(text) if is_file_of_latents(text) else parse_seeds(text)


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


def latents_of(G: Any, given: Pictures, truncation: float, class_index: int | None) -> Latents:
    """Return the latents of seeds, or those of a file as they are.

    Raises:
        LatentsError: if the network has no W, or no such class, or the file is not for it.
    """
    from stylegan_torch.editing.latents import from_seeds, load

    if isinstance(given, Path):
        return load(given, G)
    return from_seeds(G, given, truncation, class_index=class_index)


def write_latents(path: Path, parts: Sequence[Latents], G: Any, force: bool) -> None:
    """Write latents for a generator, one after the other.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    from stylegan_torch.editing.latents import joined, network_hash, save

    make_folder(path.parent)
    save(path, replace(joined(parts), network=network_hash(G)), force)


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
    checkpoint, name = _read(network, "G_ema")
    from stylegan_torch import stylegan3
    from stylegan_torch.fast import optimize
    from stylegan_torch.generate import best_device

    device = device or best_device()
    G = checkpoint.network("G_ema").to(device)
    if isinstance(G, stylegan3.Generator):  # upright whatever transform the file has, as stylegan-generate draws
        G.synthesis.input.transform.copy_(stylegan3.image_transform())
    origin = checkpoint.provenance.get("origin", {})
    about = {"name": origin.get("name", name), "sha256": origin.get("sha256")}
    return Opened(G, G if exact or device != "cpu" else optimize(G), about)


def open_discriminator(network: str | None, device: str | None = None) -> Any:
    """Return a network's discriminator."""
    checkpoint, _ = _read(network, "D")
    from stylegan_torch.generate import best_device

    return checkpoint.network("D").to(device or best_device())


def _read(network: str | None, role: str) -> tuple[Any, str]:
    # Only a command may reach up to the converter, and only when it runs.
    import checkpoints
    import converter

    name = network or str(checkpoints.DEMO)
    with quick_imports():
        return converter.load(name, [role]), Path(name).name
