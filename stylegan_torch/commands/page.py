"""`stylegan page`: the explorer as a folder that needs no server."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.given import allows_nonfinite, as_given
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE
from stylegan_torch.commands.networks import origin_of, read_networks
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say, working
from stylegan_torch.text import without_secrets

if TYPE_CHECKING:
    from stylegan_torch.explorer.folder import Origin
    from stylegan_torch.files.checkpoint import Checkpoint

LARGE = 50
"""Megabytes of a network for which there is a better way to be told of."""
SMALLER = 256
"""Side of pictures to which a larger network may be cut."""
EXAMPLES = """\b
Examples:
  stylegan page ffhq.pkl page
  stylegan page ffhq.pkl page --resolution-limit 256 --dtype float16 --force
  python -m http.server --directory page
"""


@click.command(epilog=EXAMPLES, short_help="The explorer as a folder for any static host, drawn in the browser.")
@click.argument("network", type=NETWORK_FILE)
@click.argument("folder", type=click.Path(path_type=Path))
@options.SHA256
@options.NONFINITE
@click.option("--directions", type=INPUT, multiple=True, help="Also what `stylegan directions` wrote; may be repeated.")
@options.seeds("Pinned for who first comes, such as 3,7,20-24.")
@click.option(
    "--resolution-limit",
    type=click.IntRange(min=4),
    metavar="SIDE",
    help="Cut off levels finer than this, as `stylegan surgery --resolution` does: smaller and faster.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Of the weights; float16 is half as much to load, and refused where pictures suffer.",
)
@click.option(
    "--runtime",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The unpacked package onnxruntime-web.  [default: npm brings it]",
)
@click.option("--webgpu/--no-webgpu", default=True, help="Draw on graphics cards too.  [default: webgpu]")
@options.force("a page that is there")
@one_line_errors
def page(
    network: str,
    folder: Path,
    directions: tuple[Path, ...],
    seeds: list[int] | None,
    resolution_limit: int | None,
    dtype: str,
    runtime: Path | None,
    webgpu: bool,
    force: bool,
) -> None:
    """Write the page of `stylegan explore` for NETWORK to FOLDER, with all that it takes to draw.

    The folder is for any static host, and asks for nothing elsewhere: onnxruntime-web draws in the browser, on the
    processor, or by WebGPU where that is there and draws the same. What takes PyTorch, such as projecting photographs,
    is left out.
    """
    from stylegan_torch.explorer.folder import refuse_folder

    refuse_folder(folder, force)
    with quick_imports():
        from converter.forms.graph.parts import need_packages, parts_of
        from stylegan_torch.drawing.draw import set_transform
        from stylegan_torch.editing.latents import require_w
        from stylegan_torch.explorer.folder import Models, page_files, refuse_same_names, write_folder
        from stylegan_torch.explorer.runtime import runtime_files
        from stylegan_torch.explorer.studio import NetworkChoice, Studio
        from stylegan_torch.fast import optimize
    refuse_same_names(map(str, directions))
    need_packages()
    checkpoint = read_networks(network, "G_ema")
    require_w(checkpoint.network("G_ema", allow_nonfinite=allows_nonfinite()))
    name = without_secrets(as_given(network)) if "://" in network else Path(as_given(network)).name
    checkpoint, origin = _cut(checkpoint, name, resolution_limit)
    G = checkpoint.network("G_ema", allow_nonfinite=allows_nonfinite())
    set_transform(G)
    about = origin_of(checkpoint, name)
    files_of_runtime = runtime_files(runtime, webgpu=webgpu)
    with working("Making the models"):
        parts = parts_of(G, dtype)
        choice = NetworkChoice(lambda: (G, optimize(G), about))
        with closing(Studio({Path(name).name: choice}, tuple(map(str, directions)))) as studio:
            models = Models(parts.mapping, parts.synthesis, parts.off)
            files = page_files(studio, models, files_of_runtime, origin, seeds or ())
    write_folder(folder, files, force)
    _tell(folder, files, parts.off, dtype)
    _advise(files, checkpoint, dtype)


def _cut(checkpoint: Checkpoint, name: str, limit: int | None) -> tuple[Checkpoint, Origin]:
    """Return a network with pictures within a side, and where it is from then."""
    from stylegan_torch.editing.surgery import operate
    from stylegan_torch.explorer.folder import Origin

    side = before = max(checkpoint.networks["G_ema"].config.img_size)
    while limit and side > limit:
        side //= 2
    if side == before:
        return checkpoint, Origin((), ("--network", name))
    cut = f"{Path(name).stem}-{side}.pt"
    made = operate(checkpoint, resolution=side).checkpoint
    story = shlex.join(["stylegan", "surgery", name, "--resolution", str(side), "--out", cut])
    return made, Origin((story,), ("--network", cut))


def _tell(folder: Path, files: Mapping[str, bytes], off: int, dtype: str) -> None:
    from stylegan_torch.explorer.folder import megabytes
    from stylegan_torch.explorer.runtime import WASM, WEBGPU

    wasm, webgpu = (megabytes(files, *(f"runtime/{name}" for name in names)) for names in (WASM, WEBGPU))
    cards = f", {webgpu:.0f} MB where it draws by WebGPU" if webgpu else ""
    network = megabytes(files, "network/")
    say(
        f"{folder}: {megabytes(files, ''):.1f} MB. A visitor loads the network, {network:.1f} MB ({dtype}), and "
        f"onnxruntime-web, {wasm:.0f} MB{cards}",
        f"Pictures are as PyTorch draws them to within {off} of 255, but for one value in a thousand at most",
        f"Put it on any static host, or look here: python -m http.server --directory {shlex.quote(str(folder))}",
    )


def _advise(files: Mapping[str, bytes], checkpoint: Checkpoint, dtype: str) -> None:
    """Say how a large network would be smaller and faster."""
    from stylegan_torch.editing.surgery import SurgeryError, operate
    from stylegan_torch.explorer.folder import megabytes

    side = max(checkpoint.networks["G_ema"].config.img_size)
    if megabytes(files, "network/") < LARGE and side <= SMALLER:
        return
    ways = ["--dtype float16 halves what is loaded"] if dtype == "float32" else []
    if side > SMALLER:
        try:
            operate(checkpoint, resolution=side >> (side // SMALLER).bit_length() - 1)
            ways.insert(0, f"--resolution-limit {SMALLER} draws pictures of {SMALLER} pixels in much less time")
        except SurgeryError as error:
            ways.append(f"no --resolution-limit: {error}")
    if ways:
        say(f"Note: this is a large network for a browser: {'; '.join(ways)}", err=True)
