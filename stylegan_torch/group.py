"""`stylegan`: everything that is neither converting nor drawing seeds."""

from __future__ import annotations

import click

from stylegan_torch import __version__
from stylegan_torch.train_cli import train


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Train networks of the StyleGAN family."""


main.add_command(train)
