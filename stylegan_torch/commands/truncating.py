"""Truncation as commands are asked for it: one psi, others for some layers, centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands.terminal import say
from stylegan_torch.editing.composition import LayerPsi, parse_psi

if TYPE_CHECKING:
    from stylegan_torch.drawing.truncation import Truncation
    from stylegan_torch.networks.interface import Generator


@dataclass(frozen=True)
class Asked:
    """What --truncation and --truncation-centres say.

    psi: of all layers; None = the network's own. parts: what some layers have instead. centres: a file.
    """

    psi: float | None = None
    parts: tuple[LayerPsi, ...] = ()
    centres: Path | None = None

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return self != Asked()

    def of(
        self, G: Generator, *, psi: float | None = None, cutoff: int | None = None, all_layers: bool = False
    ) -> Truncation | None:
        """Return what it is for a generator, as `editing.truncation.truncation`; psi is what is meant if none is said.

        Raises:
            click.BadParameter: if it has no such layers.
            StyleGANError: if it has no W, or the centres are not its.
        """
        from stylegan_torch.editing.truncation import truncation

        psi = psi if self.psi is None else self.psi
        try:
            return truncation(G, psi, self.parts, centres=self.centres, cutoff=cutoff, all_layers=all_layers)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--truncation") from error

    def note(self, G: Generator) -> None:
        """Say it if the centres were found with another generator's weights.

        Raises:
            StyleGANError: if they are not for it at all.
        """
        if self.centres:
            from stylegan_torch.editing.truncation import load
            from stylegan_torch.networks.registry import network_hash

            if load(self.centres, G).network != network_hash(G):
                say(f"Note: {self.centres} was found with another network.", err=True)

    def about(self) -> dict[str, object]:
        """Return what pictures say of it, besides psi."""
        parts = {"truncation_layers": [str(part) for part in self.parts]} if self.parts else {}
        return parts | ({"truncation_centres": self.centres.name} if self.centres else {})


def parse_truncation(texts: Sequence[str]) -> tuple[float | None, tuple[LayerPsi, ...]]:
    """Read texts such as "0.7" and "1@fine".

    Raises:
        ValueError: for other texts, or two numbers for all layers.
    """
    given = list(map(parse_psi, texts))
    plain = [each for each in given if not isinstance(each, LayerPsi)]
    if len(plain) > 1:
        raise ValueError("one number is for all layers; others say for which, as 1@fine")
    return plain[0] if plain else None, tuple(each for each in given if isinstance(each, LayerPsi))
