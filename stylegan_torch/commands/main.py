"""`stylegan`: every command there is, by one name."""

from __future__ import annotations

import click

from stylegan_torch import __version__
from stylegan_torch.commands.terminal import Group

HOMES = {
    "convert": "stylegan_torch.commands.convert:main",
    "generate": "stylegan_torch.commands.generate:main",
    "bulk": "stylegan_torch.commands.bulk:bulk",
    "verify": "stylegan_torch.commands.verify:main",
    "export-tf": "stylegan_torch.commands.export_tf:main",
    "explore": "stylegan_torch.commands.explore:explore",
    "page": "stylegan_torch.commands.page:page",
    "draw": "stylegan_torch.commands.draw:draw",
    "mix": "stylegan_torch.commands.mix:mix",
    "film": "stylegan_torch.commands.film:film",
    "drag": "stylegan_torch.commands.drag:drag",
    "project": "stylegan_torch.commands.project:project",
    "blend": "stylegan_torch.commands.blend:blend",
    "surgery": "stylegan_torch.commands.surgery:surgery",
    "directions": "stylegan_torch.commands.directions:directions",
    "centres": "stylegan_torch.commands.centres:centres",
    "edit": "stylegan_torch.commands.edit:edit",
    "look": "stylegan_torch.commands.look:look",
    "measure": "stylegan_torch.commands.measure:measure",
    "memorisation": "stylegan_torch.commands.memorisation:memorisation",
    "spectrum": "stylegan_torch.commands.spectrum:spectrum",
    "rate": "stylegan_torch.commands.rate:rate",
    "dataset": "stylegan_torch.commands.dataset:dataset",
    "train": "stylegan_torch.commands.train:train",
}
"""Where the commands are; only that which is asked for is imported."""


@click.group(cls=Group, homes=HOMES)
@click.version_option(__version__)
def main() -> None:
    """Convert, draw, edit and train networks of the StyleGAN family.

    convert, generate, verify and export-tf are also there as stylegan-convert, stylegan-generate and so on.
    """


if __name__ == "__main__":
    main()
