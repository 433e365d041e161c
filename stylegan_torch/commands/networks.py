"""The networks that commands draw with: opened where they are to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands.given import allows_nonfinite, allows_tf32, as_given
from stylegan_torch.commands.inputs import Pictures
from stylegan_torch.commands.terminal import quick_imports, say
from stylegan_torch.files.atomic import spelled
from stylegan_torch.text import without_secrets

if TYPE_CHECKING:
    from stylegan_torch.files.checkpoint import Checkpoint
    from stylegan_torch.networks.interface import Discriminator, Generator


@dataclass(frozen=True)
class Opened:
    """A generator to edit with: its plain form, the form to draw with, and what to say of its origin."""

    G: Generator
    drawer: Generator
    origin: dict[str, object]


def open_generator(
    network: str | None,
    device: str | None = None,
    exact: bool = False,
    allow_nonfinite: bool | None = None,
    tf32: bool | None = None,
) -> Opened:
    """Return a generator's moving average on a device; by default the bundled network.

    Args:
        network: its file.
        device: by default the best there is.
        exact: draw with the plain form too.
        allow_nonfinite: NaN and infinity in it are no reason to stop; by default, what the running command was told.
        tf32: let cards round in float32; by default, what it was told.

    Raises:
        StyleGANError: if it cannot be read.
    """
    from stylegan_torch.drawing.draw import set_transform

    device = usable_device(device)
    checkpoint = read_networks(network, "G_ema")
    allow_nonfinite = allows_nonfinite() if allow_nonfinite is None else allow_nonfinite
    G = checkpoint.network("G_ema", allow_nonfinite=allow_nonfinite).to(device)
    set_transform(G)  # upright whatever transform the file has, as stylegan-generate draws
    drawer = drawer_of(G, exact, may_round(exact) if tf32 is None else tf32)
    return Opened(G, drawer, origin_of(checkpoint, network and Path(without_secrets(network)).name))


def drawer_of(G: Generator, exact: bool, tf32: bool) -> Generator:
    """Return the form of a generator to draw with: itself if it must be exact, or its device has no fast one."""
    from stylegan_torch.drawing.devices import has_fast_form
    from stylegan_torch.fast import optimize

    return optimize(G, tf32=tf32) if has_fast_form(G.device) and not exact else G


def may_round(exact: bool) -> bool:
    """Return whether the running command was told that cards may round in float32.

    Raises:
        UsageError: if it was told to draw with the plain form too.
    """
    if exact and allows_tf32():
        raise click.UsageError("--tf32 is the fast form's: it goes without --exact")
    return allows_tf32()


def open_discriminator(network: str | None, device: str | None = None) -> Discriminator:
    """Return a network's discriminator."""
    device = usable_device(device)
    return read_networks(network, "D").network("D", allow_nonfinite=allows_nonfinite()).to(device)


def read_networks(network: str | None, role: str) -> Checkpoint:
    """Read one network of a file, by default of the bundled one.

    Raises:
        StyleGANError: if it cannot be read.
    """
    # Only a command may reach up to the converter, and only when it runs.
    import checkpoints
    import converter

    with quick_imports():
        return converter.load(network or str(checkpoints.DEMO), [role])


def refuse_inputs(out: Path, networks: Iterable[str]) -> None:
    """Raise BadParameter if a file to write is one of those to read."""
    if out.resolve() in [Path(network).resolve() for network in networks]:
        raise click.BadParameter(f"{out} itself would be replaced; name another file", param_hint="--out")


def read_all(network: str) -> Checkpoint:
    """Read all networks of a file.

    Raises:
        StyleGANError: if it cannot be read.
    """
    # Only a command may reach up to the converter, and only when it runs.
    import converter

    with quick_imports():
        return converter.load(network)


def origin_of(checkpoint: Checkpoint, name: str | None) -> dict[str, object]:
    """Return what pictures say of the network they are of: the file that it came from, or else a name."""
    origin = checkpoint.provenance.get("origin", {})
    return {"name": origin.get("name", name), "sha256": origin.get("sha256")}


def names_of(networks: Sequence[str]) -> list[str]:
    """Return names for files: the last part of their paths, or all if those are not different."""
    whole = [spelled(without_secrets(as_given(network))) for network in networks]
    short = [Path(name).name for name in whole]
    names = next((names for names in (short, whole) if len(set(names)) == len(names)), None)
    return names or [f"{name} ({i + 1})" for i, name in enumerate(short)]


def usable_device(name: str | None, dtype: str = "float32") -> str:
    """Return the device asked for, by default the best there is.

    Raises:
        BadParameter: if it is not here, or does not compute in `dtype`.
    """
    from stylegan_torch.drawing import devices

    try:
        device = devices.usable_device(name) if name else devices.best_device()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
    if dtype == "float64" and not devices.has_float64(device):
        raise click.BadParameter(f"{device} has no float64; cpu has", param_hint="--device")
    return device


def note_no_class(
    network: Generator | Discriminator, class_index: int | None, given: Iterable[Pictures | None] = ([],)
) -> None:
    """Say that a conditional network does what it does for no class, unless one is given, or no seeds are."""
    if network.c_dim and class_index is None and any(isinstance(each, list) for each in given):
        say(f"Note: no --class given; taking an all-zero label ({network.c_dim} classes).", err=True)
