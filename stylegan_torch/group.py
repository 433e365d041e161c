"""`stylegan`: everything that is neither converting nor drawing seeds."""

from __future__ import annotations

import click

from stylegan_torch import __version__
from stylegan_torch.commands.dataset import dataset
from stylegan_torch.commands.directions import directions
from stylegan_torch.commands.draw import draw
from stylegan_torch.commands.edit import edit
from stylegan_torch.commands.explore import explore
from stylegan_torch.commands.film import film
from stylegan_torch.commands.look import look
from stylegan_torch.commands.measure import measure
from stylegan_torch.commands.mix import mix
from stylegan_torch.commands.project import project
from stylegan_torch.commands.rate import rate
from stylegan_torch.commands.train import train


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Edit with networks of the StyleGAN family, and train them."""


for command in (dataset, directions, draw, edit, explore, film, look, measure, mix, project, rate, train):
    main.add_command(command)

if __name__ == "__main__":
    main()
