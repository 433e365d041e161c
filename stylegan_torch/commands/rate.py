"""`stylegan rate`: sort pictures by a discriminator's scores."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import OUTPUT, InputFolder
from stylegan_torch.commands.networks import note_no_class, open_discriminator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say, tracked
from stylegan_torch.files.atomic import new_file, refuse_existing
from stylegan_torch.text import one_line, printable

EXAMPLES = """\b
Examples:
  stylegan rate out/ --network ffhq.pkl
  stylegan rate photos.zip --network ffhq.pkl --out scores.csv
"""


@click.command(epilog=EXAMPLES, short_help="Sort pictures by a discriminator's scores.")
@click.argument("pictures", type=InputFolder())
@options.NETWORK
@options.CLASS
@click.option("--out", type=OUTPUT, help="Write the list here (.csv) rather than print it.")
@options.bad("Bad pictures.")
@options.DEVICE
@options.FORCE
@one_line_errors
def rate(
    pictures: Path,
    network: str | None,
    class_index: int | None,
    out: Path | None,
    bad: str,
    device: str | None,
    force: bool,
) -> None:
    """List the PICTURES of a folder, a .zip or a WebDataset by score, the most real first, as "score,name".

    Pictures are cut to the middle and resized to the network's size.
    """
    if out:
        refuse_existing([out], force)
    with quick_imports():
        import torch

        from stylegan_torch.drawing.draw import check_class
        from stylegan_torch.editing.measures import scores
        from stylegan_torch.pictures import collections
        from stylegan_torch.pictures.decode import DataError, PictureSize
    D = open_discriminator(network, device)
    if class_index is not None:
        check_class(D, class_index)
    note_no_class(D, class_index)
    height, width = D.img_size
    size = PictureSize(height, width, D.img_channels)
    rows, skipped = [], []
    for picture in tracked(collections.pictures(pictures, "none"), "Rating"):
        try:
            image = torch.from_numpy(picture.decoded(size).copy())[None].float() / 127.5 - 1
        except DataError as error:
            if bad == "refuse":
                raise DataError(f"{pictures}: {picture.name} {error}; --bad skip leaves such out") from error
            skipped.append(f"Skipped {one_line(f'{picture.name}: it {error}')}")
            continue
        rows.append((scores(D, [image], class_index).item(), picture.name))
    if skipped:
        say(*skipped, err=True)
    if not rows:
        raise DataError(f"{pictures} has no pictures to rate")
    if not out:
        rows = [(score, printable(name)) for score, name in rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("score", "name"))
    writer.writerows((f"{score:.4f}", name) for score, name in sorted(rows, reverse=True))
    if out:
        with new_file(out, force) as file:
            file.write(text.getvalue().encode(errors="backslashreplace"))
        say(f"{len(rows)} scores in {out}")
    else:
        say(*text.getvalue().rstrip("\n").split("\n"))
