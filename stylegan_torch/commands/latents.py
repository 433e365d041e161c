"""Pictures that commands are given, as seeds or as a file of latents, and latents that they write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands.inputs import Pictures
from stylegan_torch.commands.truncating import Asked

if TYPE_CHECKING:
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.networks.interface import Generator

_NO_MORE = Asked()


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


def refuse_for_latents(truncation: Asked, class_index: int | None) -> None:
    """Raise UsageError for what is done to seeds, where all that is drawn are a file's latents."""
    if truncation or class_index is not None:
        raise click.UsageError("--truncation and --class are for --seeds")


def chosen_layers(G: Generator, text: str, option: str) -> list[int]:
    """Return the layers that an option chooses, as `layers_of` reads them; BadParameter if it cannot."""
    from stylegan_torch.editing.mixing import layers_of

    try:
        return layers_of(G, text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def latents_of(
    G: Generator,
    given: Pictures,
    *,
    psi: float | None,
    class_index: int | None,
    all_layers: bool = False,
    truncation: Asked = _NO_MORE,
) -> Latents:
    """Return the latents of seeds, or those of a file as they are.

    Seeds are truncated as stylegan-generate does: by psi, None = the network's own, and so many layers as are the
    network's own, or all; and then as is asked for some layers, or towards centres.

    Raises:
        StyleGANError: if the network has no W, or no such class, or the file is not for it.
    """
    from stylegan_torch.drawing.draw import truncation_of
    from stylegan_torch.editing.latents import from_seeds, load, require_w

    if isinstance(given, Path):
        return load(given, G)
    require_w(G)
    more = truncation.of(G, psi=psi, all_layers=all_layers)
    psi, cutoff = truncation_of(G, psi)
    cutoff = None if all_layers else cutoff
    return from_seeds(G, given, truncation_psi=psi, truncation_cutoff=cutoff, class_index=class_index, truncation=more)


def write_latents(path: Path, parts: Sequence[Latents], G: Generator, *, force: bool) -> None:
    """Write latents for a generator, one after the other.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    from stylegan_torch.editing.latents import joined, save
    from stylegan_torch.networks.registry import network_hash

    save(path, replace(joined(parts), network=network_hash(G)), force)
