"""Options that several sub-commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import click

from stylegan_torch.commands.given import note_check, note_hashes, note_nonfinite
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE, DistanceFile, OutputFile
from stylegan_torch.commands.terminal import finite, parse_seeds, reading
from stylegan_torch.drawing.marks import Marking, Signer
from stylegan_torch.editing.composition import well_formed_layers
from stylegan_torch.errors import StyleGANError

_Function = TypeVar("_Function", bound=Callable[..., object])


class Option(Protocol):
    """The decorator of an option."""

    def __call__(self, function: _Function, /) -> _Function:
        """Add it to a command."""


def _hashes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    for text in values:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise click.BadParameter(f"{text!r} is not 64 hexadecimal digits")
    note_hashes(values, ctx)


def _signer(ctx: click.Context, param: click.Parameter, files: tuple[Path, Path] | None) -> Signer | None:
    if files is None:
        return None
    try:
        signer = Signer.of_files(*files)
    except StyleGANError as error:
        raise click.BadParameter(str(error)) from error
    note_check(lambda: _try(signer), ctx)
    return signer


def _try(signer: Signer) -> None:
    """Raise StyleGANError if nothing can be signed, before there is work to lose."""
    from PIL import Image

    from stylegan_torch.drawing.images import ENCODERS, encode

    encode(Image.new("L", (1, 1)), ENCODERS["png"], {}, marking=Marking(signer=signer))


def _marking(ctx: click.Context, param: click.Parameter, files: tuple[Path, Path] | None) -> Marking:
    return Marking(ctx.params.pop("mark"), _signer(ctx, param, files))


NOISES = ("official", "const", "random", "none")
"""What can be done about noise, in every command: what the network's release does, stored maps, others, or nothing."""
OWN_TRUNCATION = "  [default: the network's own, as stylegan-generate]"
FILM = OutputFile(".mp4", ".webm", ".gif")


def block(*options: Option) -> Option:
    """Return several options as one decorator; `--help` lists them in this order."""

    def decorate(function: _Function) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def force(files: str = "files that exist") -> Option:
    """Return the option `--force`."""
    return click.option("--force", is_flag=True, help=f"Replace {files}; folders that are missing are made anyway.")


SHA256 = click.option(
    "--sha256",
    multiple=True,
    expose_value=False,
    callback=_hashes,
    metavar="HASH",
    help="Which the network's file must have, in hex; looked at before anything in it is.",
)
NONFINITE = click.option(
    "--allow-nonfinite",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, param, value: note_nonfinite(value, ctx),
    help="Draw even if there are NaN or infinite numbers in the network.",
)
NETWORK = block(
    click.option(
        "--network",
        type=NETWORK_FILE,
        help="A file of ours, or anything stylegan-convert reads; - is standard input.  [default: the bundled one]",
    ),
    SHA256,
    NONFINITE,
)
DEVICE = click.option("--device", help="cpu, cuda, mps …  [default: the best there is]")
DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float64", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Precision.",
)
EXACT = click.option("--exact", is_flag=True, help="Draw with the plain form of the network, not the fast one.")
FORCE = force()
DRAWING = block(DEVICE, EXACT, FORCE)
DISTANCE = block(
    click.option(
        "--distance",
        "distance_name",
        type=DistanceFile(),
        default="pyramid",
        show_default=True,
        help="pyramid needs no weights; lpips is the package; or a TorchScript file such as vgg16.pt.",
    ),
    click.option("--trust-distance", is_flag=True, help="Run the program that is in the file of --distance."),
)
MARK = click.option(
    "--mark/--no-mark",
    default=True,
    is_eager=True,  # --sign of `MARKING` takes its value
    help="Say, for machines, that what is drawn is synthetic.  [default: mark]",
)


def _sign(name: str, callback: Callable[..., object]) -> Option:
    return click.option(
        "--sign",
        name,
        type=(click.Path(path_type=Path), click.Path(path_type=Path)),
        callback=callback,
        metavar="CERT KEY",
        help="Sign each picture by C2PA with these PEM files (extra sign).",
    )


SIGN = _sign("signer", _signer)
MARKING = block(MARK, _sign("marking", _marking))
"""Of what draws pictures: both options give the one parameter `marking`, a `Marking`."""
COLUMNS = click.option(
    "--columns", type=click.IntRange(min=1), metavar="C", help="Of the sheet.  [default: near-square]"
)
CLASS = click.option(
    "--class", "class_index", type=click.IntRange(min=0), metavar="K", help="Class of a conditional network."
)


def seeds(help: str, *, required: bool = False) -> Option:
    """Return the option `--seeds`."""
    return click.option("--seeds", callback=reading(parse_seeds), metavar="SEEDS", required=required, help=help)


def truncation(help: str = "Truncation of seeds; 1 = none." + OWN_TRUNCATION) -> Option:
    """Return the option `--truncation`; None where it is not given."""
    return click.option("--truncation", callback=reading(finite), metavar="PSI", help=help)


def noise(*names: str, help: str) -> Option:
    """Return the option `--noise`, with other names if wished, the last of which is the parameter's."""
    kinds = click.Choice(NOISES)
    return click.option(*names or ("--noise",), type=kinds, default="official", show_default=True, help=help)


def latents_file(help: str, *, multiple: bool = False) -> Option:
    """Return the option `--latents`."""
    return click.option("--latents", type=INPUT, multiple=multiple, help=help)


def layers(name: str, *, help: str, default: str | None = None, metavar: str | None = None) -> Option:
    """Return an option that chooses layers."""
    check = reading(well_formed_layers)
    return click.option(name, callback=check, default=default, show_default=True, metavar=metavar, help=help)


def batch(default: int = 1) -> Option:
    """Return the option `--batch` of what draws."""
    least = click.IntRange(min=1)
    return click.option("--batch", type=least, default=default, show_default=True, help="Pictures drawn at once.")


def bad(help: str) -> Option:
    """Return the option `--bad`."""
    choices = click.Choice(["refuse", "skip"])
    return click.option("--bad", type=choices, default="refuse", show_default=True, help=help)


def sheet_file(default: str, help: str = "The sheet (.png).") -> Option:
    """Return the option `--out` of a command that draws one."""
    return click.option("--out", type=OutputFile(".png"), default=default, show_default=True, help=help)


def save_latents(help: str) -> Option:
    """Return the option `--save-latents`."""
    return click.option("--save-latents", type=OutputFile(".npz"), metavar="FILE", help=help)
