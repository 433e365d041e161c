"""`stylegan`: everything that is neither converting nor drawing seeds."""

from __future__ import annotations

import click

from stylegan_torch import __version__
from stylegan_torch.commands.mix import mix
from stylegan_torch.commands.project import project
from stylegan_torch.commands.train import train


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Edit with networks of the StyleGAN family, and train them."""


for command in (mix, project, train):
    main.add_command(command)
