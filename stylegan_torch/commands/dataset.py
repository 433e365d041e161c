"""`stylegan dataset`: make a data set in the official form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.given import take_inputs
from stylegan_torch.commands.inputs import InputFile, InputFolder, OutputFile
from stylegan_torch.commands.terminal import Command, one_line_errors, say, tracked
from stylegan_torch.text import one_line

if TYPE_CHECKING:
    from stylegan_torch.pictures.alignment import Alignment
    from stylegan_torch.pictures.collections import Picture

_CLASSES_SHOWN = 20
EXAMPLES = """\b
Examples:
  stylegan dataset photos/ photos.zip --resolution 256x256 --transform center-crop
  stylegan dataset flowers/ flowers.zip --resolution 64x64 --transform center-crop --labels folders
  stylegan dataset party/ faces.zip --resolution 256x256 --align --face all --bad skip
  stylegan dataset cars.zip cars512.zip --resolution 512x384 --transform center-crop-wide --bad skip
"""


class _Labels(InputFile):
    """Where labels come from: sub-folders, nowhere, or a table. Gives a `str` or a `Path`."""

    name = "text"

    def made(self, text: str) -> str | Path:
        """Return the word, or the path."""
        if text in ("folders", "none"):
            return text
        if Path(text).suffix.lower() != ".csv":
            raise ValueError(f"{text!r} is neither folders, nor none, nor a .csv")
        return Path(text)

    def piped(self, path: Path) -> Path:
        """Return the path: only a table comes through a pipe."""
        return path

    def check(self, text: str) -> None:
        """Raise StyleGANError if it is a table that is not there."""
        if text not in ("folders", "none"):
            super().check(text)


@click.command(cls=Command, epilog=EXAMPLES, short_help="Make a data set in the official form.")
@click.argument("src", type=InputFolder())
@click.argument("dst", type=OutputFile(".zip"))
@options.resolution("Size of all.  [default: as they are]")
@click.option(
    "--transform",
    type=click.Choice(["center-crop", "center-crop-wide"]),
    help="center-crop cuts to the middle square; center-crop-wide to the shape of --resolution, with black above and "
    "below.  [default: stretch to --resolution]",
)
@click.option(
    "--resize-filter", type=click.Choice(["lanczos", "box"]), default="lanczos", show_default=True, help="For resizing."
)
@options.alignment("largest", "all")
@click.option("--max-images", type=click.IntRange(min=1), metavar="N", help="Take no more than the first N.")
@click.option(
    "--labels",
    "labels_from",
    type=_Labels(),
    metavar="folders|FILE|none",
    help="Sub-folders as classes; or a table (.csv) of names and labels.  [default: the data's own, if it has any]",
)
@options.bad("What to do about broken, tiny or other unfit pictures.")
@options.FORCE
@one_line_errors
def dataset(
    src: Path,
    dst: Path,
    resolution: tuple[int, int] | None,
    transform: Literal["center-crop", "center-crop-wide"] | None,
    resize_filter: Literal["lanczos", "box"],
    alignment: Callable[[], Alignment] | None,
    max_images: int | None,
    labels_from: Literal["folders", "none"] | Path | None,
    bad: str,
    force: bool,
) -> None:
    """Make the data set DST.zip of the pictures of SRC: a folder, a .zip or a WebDataset (.tar).

    It has the form that the official programs train on: PNGs of one size, gray if all pictures are, and dataset.json
    with their labels. SRC's own labels are its dataset.json, or the .cls of a WebDataset. Pictures are turned as their
    EXIF says, and what is transparent becomes white. Killed half-way, the same command goes on.

    A label in a table is the number of a class, 1 or 1.0, its name, or several columns of numbers. Names, of classes or
    of sub-folders, are numbered in order.
    """
    from stylegan_torch.pictures.archive import Order, Shape, write
    from stylegan_torch.pictures.decode import DataError

    try:
        shape = Shape(resolution, transform, resize_filter)
    except DataError as error:
        raise click.BadParameter(str(error), param_hint="--resolution") from error
    take_inputs()
    cut = alignment() if alignment else None
    try:
        order = Order(src, shape, labels_from or "data", max_images, bad == "skip", cut)
    except DataError as error:
        raise click.UsageError(str(error)) from error

    def watched(pictures: Iterable[Picture], total: int) -> Iterable[Picture]:
        return tracked(pictures, "Making pictures", total)

    made = write(dst, order, force=force, watch=watched)
    for line in made.skipped:
        say(f"Skipped {one_line(line)}", err=True)
    if made.stretched:
        say(
            f"Note: {made.stretched} pictures that are not square were stretched; --transform center-crop cuts them",
            err=True,
        )
    if made.unused_folders > 1 and labels_from is None:
        say(f"Note: the {made.unused_folders} sub-folders are no classes without --labels folders", err=True)
    names, vectors = made.labels.class_names, made.labels.vectors
    labels = f"{len(names)} classes" if names else "no labels" if vectors is None else f"vectors of {vectors.shape[1]}"
    color = "gray" if made.gray else "colour"
    say(f"{made.count} pictures of {made.side}×{made.side} in {color}, {labels}: {dst}")
    if names != tuple(map(str, range(len(names)))):
        for number, name in enumerate(names[:_CLASSES_SHOWN]):
            say(f"class {number}: {one_line(name)}")
        if len(names) > _CLASSES_SHOWN:
            say(f"and {len(names) - _CLASSES_SHOWN} more, in the order of their names")
