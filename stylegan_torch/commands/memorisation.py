"""`stylegan memorisation`: whether a network draws what it was trained on."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import InputFolder, OutputFile
from stylegan_torch.commands.measure import SOURCES, WORKING, Sources, watch, write_json
from stylegan_torch.commands.networks import usable_device
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say, tracked
from stylegan_torch.files.atomic import refuse_existing

_SAMPLES = 1000
EXAMPLES = """\b
Examples:
  stylegan memorisation photos/ --network mine.pt --mirror --page memorisation.html
  stylegan memorisation photos/ --network mine.pt --extractor inception-v3-compat --download --out report.json
  stylegan memorisation photos/ --generated pictures/ --page memorisation.html
"""


@click.command(epilog=EXAMPLES, short_help="What is near to a training picture.")
@click.argument("reals", type=InputFolder())
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    help=f"Pictures to draw.  [default: {_SAMPLES}, or all of --generated]",
)
@SOURCES
@options.extractor("What near means.", "pixels")
@click.option(
    "--neighbours", type=click.IntRange(min=1), default=3, show_default=True, help="Training pictures of each."
)
@options.batch(16)
@WORKING
@click.option("--page", type=OutputFile(".html"), help="Write a page of the pictures, the worst first.")
@click.option("--pairs", type=click.IntRange(min=1), default=50, show_default=True, help="Pictures on the page.")
@click.option("--out", type=OutputFile(".json"), help="Write all that was found here.")
@options.FORCE
@one_line_errors
def memorisation(
    extractor: str,
    features: Path | None,
    download: bool,
    neighbours: int,
    batch: int,
    cache: Path | None,
    page: Path | None,
    pairs: int,
    out: Path | None,
    force: bool,
    **given: object,
) -> None:
    """Look for what a network draws among REALS, the pictures it was trained on, and print the share that is authentic.

    A picture is authentic if it is farther from its nearest training picture than that is from its own nearest other
    (Alaa et al. 2022). Near is what the features of --extractor say: pixels finds copies, learnt ones what shows the
    same. --mirror looks among the mirrored training pictures too. Killed, the same command goes on.
    """
    sources = Sources(**given)  # type: ignore[arg-type]
    sources.refuse_misfits(needs_reals=True)
    refuse_existing([page, out], force)
    with quick_imports():
        from stylegan_torch.measuring import features_folder, features_of, open_extractor
        from stylegan_torch.measuring import memorisation as find
        from stylegan_torch.measuring.comparison import software
        from stylegan_torch.measuring.features import forget, keep
        from stylegan_torch.measuring.memorisation import report, write_page
    device = usable_device(sources.device)
    opened = open_extractor(extractor, device, weights=features, download=download)
    drawn, reals = sources.open(_SAMPLES)
    assert reals is not None
    layer = opened.layer("fid")
    folders = [features_folder(each, opened, cache) for each in (reals, drawn)]
    of_reals, of_drawn = (
        features_of(each, opened, folder=folder, batch=batch, watch=watch, what=what)
        for each, folder, what in zip((reals, drawn), folders, ("Looking at reals", "Drawing"), strict=True)
    )
    found = find(
        of_drawn.layers[layer],
        of_reals.layers[layer],
        k=neighbours,
        same=of_reals.indices % len(reals.chosen),
        watch=lambda starts: tracked(starts, "Finding neighbours"),
    )
    content = report(found, (drawn, of_drawn), (reals, of_reals), opened, software())
    worst = content["pairs"][0]
    ratio = "∞" if worst["ratio"] is None else f"{worst['ratio']:.3g}"
    say(
        f"authenticity ({extractor}): {found.authenticity:.4g} of {len(found.own):,}, {content['copies']} copies; "
        f"nearest is {worst['picture']} to {worst['nearest'][0]['name']}, ratio {ratio}"
    )
    if page:
        write_page(page, content, found, (drawn, of_drawn), (reals, of_reals), pairs=pairs, force=force)
    if out:
        write_json(out, content, force)
    keep(folders[0])
    forget(folders[1])
