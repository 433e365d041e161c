"""Options that several sub-commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from click.core import ParameterSource

from stylegan_torch.commands.given import note_check, note_hashes, note_nonfinite, note_tf32
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE, DistanceFile, OutputFile
from stylegan_torch.commands.terminal import finite, pair, parse_seeds, picture_size, reading
from stylegan_torch.commands.truncating import Asked, parse_truncation
from stylegan_torch.drawing.marks import Marking, Signer
from stylegan_torch.editing.composition import well_formed_layers
from stylegan_torch.errors import StyleGANError

if TYPE_CHECKING:
    from stylegan_torch.pictures.alignment import Alignment, Which

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


def refuse_idle(home: str, *names: str) -> None:
    """Raise UsageError if the command line has one of these parameters, which do nothing without another option."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} goes with {home}")


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
NEW_NETWORK = click.option(
    "--out", type=OutputFile(".pt", ".safetensors"), required=True, help="The network to write (.pt, .safetensors)."
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
TRANSFORM = block(
    click.option(
        "--translate", callback=reading(pair), metavar="X,Y", help="Move StyleGAN3's images, in picture heights."
    ),
    click.option(
        "--rotate", callback=reading(finite), metavar="DEGREES", help="Turn StyleGAN3's images counter-clockwise."
    ),
)
TF32 = click.option(
    "--tf32",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, param, value: note_tf32(value, ctx),
    help="Let NVIDIA cards round in float32: faster, and about three digits remain.",
)
FORCE = force()
DRAWING = block(DEVICE, EXACT, TF32, FORCE)
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


SET_MEASURES = ("fid", "kid", "pr", "is", "fd-dinov2")
"""The names of `measuring.MEASURES`, which takes longer to import."""
EXTRACTORS = ("inception-v3-compat", "vgg16", "dinov2-vit-l-14", "random-convolutions", "pixels")
"""Those of `measuring.extractors`."""


def extractor(help: str, default: str | None = None) -> Option:
    """Return the options `--extractor`, `--features` and `--download`."""
    choices = click.Choice(EXTRACTORS)
    return block(
        click.option("--extractor", type=choices, default=default, show_default=bool(default), help=help),
        click.option(
            "--features", type=INPUT, help="The extractor's weights (.pth), as torch-fidelity downloads them."
        ),
        click.option(
            "--download",
            is_flag=True,
            help="Let torch-fidelity download weights that are missing; DINOv2's come with a program, which is run.",
        ),
    )


def resolution(help: str) -> Option:
    """Return the option `--resolution`, which gives width and height."""
    return click.option("--resolution", callback=reading(picture_size), metavar="WxH", help=help)


def seeds(help: str, *, required: bool = False) -> Option:
    """Return the option `--seeds`."""
    return click.option("--seeds", callback=reading(parse_seeds), metavar="SEEDS", required=required, help=help)


def truncation(help: str = "Truncation of seeds; 1 = none." + OWN_TRUNCATION) -> Option:
    """Return the option `--truncation`; None where it is not given."""
    return click.option("--truncation", callback=reading(finite), metavar="PSI", help=help)


def _asked(ctx: click.Context, param: click.Parameter, centres: Path | None) -> Asked:
    psi, parts = ctx.params.pop("truncation_psis")
    return Asked(psi, parts, centres)


def centres(name: str = "centres", **settings: Any) -> Option:
    """Return the option `--truncation-centres`, as a parameter of a name."""
    help = "Truncate towards the nearest of what `stylegan centres` wrote, not the mean w."
    return click.option("--truncation-centres", name, type=INPUT, metavar="FILE", help=help, **settings)


def truncations(help: str = "Truncation of seeds; 1 = none." + OWN_TRUNCATION) -> Option:
    """Return the options of truncation by layers and centres, as the one parameter `truncation`, an `Asked`."""
    which, _, default = help.partition("  ")
    return block(
        click.option(
            "--truncation",
            "truncation_psis",
            multiple=True,
            is_eager=True,
            callback=reading(parse_truncation),
            metavar="PSI[@LAYERS]",
            help="  ".join(filter(None, [f"{which} Again, with @LAYERS: what these layers have instead.", default])),
        ),
        centres("truncation", callback=_asked),
    )


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


def _box(text: str) -> tuple[int, int, int, int]:
    ends = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if len(ends) != 4 or min(ends) < 0 or ends[0] >= ends[2] or ends[1] >= ends[3]:
        raise ValueError(f"{text!r} is not left,top,right,bottom in pixels, such as 40,20,296,276")
    return ends[0], ends[1], ends[2], ends[3]


def _alignment(ctx: click.Context, param: click.Parameter, box: str | None) -> object:
    """Return what makes the `Alignment` that these options ask for, None for none; called when the work begins."""
    given = {name: ctx.params.pop(name) for name in ("align", "landmarks", "landmark_model", "face")}
    edges = reading(_box)(ctx, param, box)
    faces = given["align"] or given["landmarks"] is not None
    if edges and (faces or given["face"]):
        raise click.UsageError("--box goes without --align, --landmarks and --face", ctx)
    if not faces and (given["landmark_model"] or given["face"]):
        raise click.UsageError("--landmark-model and --face go with --align", ctx)
    if given["landmarks"] and given["landmark_model"]:
        raise click.UsageError("--landmarks are known: they go without --landmark-model", ctx)
    return None if not (faces or edges) else partial(_aligned, edges, **given)


def _aligned(
    box: tuple[int, int, int, int] | None,
    *,
    align: bool,
    landmarks: Path | None,
    landmark_model: Path | None,
    face: Which | None,
) -> Alignment:
    from stylegan_torch.pictures.alignment import Alignment
    from stylegan_torch.pictures.faces import FaceFinder, GivenLandmarks

    if box:
        return Alignment(box=box)
    return Alignment(GivenLandmarks(landmarks) if landmarks else FaceFinder(landmark_model), face or "only")


def alignment(*which: str) -> Option:
    """Return the options of how photographs are cut first, as the one parameter `alignment`: what makes it, or None.

    Args:
        which: what `--face` may be.
    """
    return block(
        click.option(
            "--align",
            is_flag=True,
            is_eager=True,
            help="Find the face, and cut it out as FFHQ's are: upright, with the eyes in their place (extra align).",
        ),
        click.option(
            "--landmarks",
            type=INPUT,
            is_eager=True,
            metavar="FILE",
            help="Align by these 68 points, or 5: eyes, nose, mouth's corners (.json, .npy, .txt).",
        ),
        click.option(
            "--landmark-model",
            type=INPUT,
            is_eager=True,
            metavar="FILE",
            help="For --align: another shape predictor of dlib with 68 landmarks (.dat), of people you trust.",
        ),
        click.option(
            "--face",
            type=click.Choice(which),
            is_eager=True,
            help="For --align: which of several faces.  [default: several are an error]",
        ),
        click.option(
            "--box",
            "alignment",
            callback=_alignment,
            metavar="X0,Y0,X1,Y1",
            help="Cut this out first: left, top, right, bottom in pixels.",
        ),
    )


def batch(default: int | None = None) -> Option:
    """Return the option `--batch` of what draws; None = what fits a card."""
    about = "Pictures drawn at once." + ("" if default else "  [default: what fits a card, 1 elsewhere]")
    return click.option("--batch", type=click.IntRange(min=1), default=default, show_default=True, help=about)


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
