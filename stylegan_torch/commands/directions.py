"""`stylegan directions`: find directions to edit along."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT, OutputFile
from stylegan_torch.commands.latents import chosen_layers
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns

EXAMPLES = """\b
Examples:
  stylegan directions --method sefa --layers middle --out sefa.npz
  stylegan directions --network ffhq.pt --method pca --count 20 --out pca.safetensors
  stylegan directions --method boundary --labels smiles.csv --out smile.npz

A file of labels has lines such as "12,1": a seed and its label. Two different labels are two kinds of pictures; of
more, such as scores, the highest and the lowest are told apart.
"""


@click.command(epilog=EXAMPLES, short_help="Find directions along which pictures change.")
@options.NETWORK
@click.option(
    "--method",
    type=click.Choice(["sefa", "pca", "boundary"]),
    default="sefa",
    show_default=True,
    help="Factorise the style weights; components of W; the boundary between labelled pictures.",
)
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True, help="How many to find.")
@options.layers("--layers", default="all", help="Layers they are for: numbers, coarse, middle, fine.")
@click.option("--labels", type=INPUT, help="Labels for --method boundary (.csv).")
@options.latents_file("Label these latents, by their number from 0, rather than seeds.")
@click.option(
    "--out",
    type=OutputFile(".npz", ".safetensors"),
    default="directions.npz",
    show_default=True,
    help=".npz or .safetensors.",
)
@options.DEVICE
@options.FORCE
@one_line_errors
def directions(
    network: str | None,
    method: str,
    count: int,
    layers: str,
    labels: Path | None,
    latents: Path | None,
    out: Path,
    device: str | None,
    force: bool,
) -> None:
    """Find directions in W, and write them to a file that `stylegan edit` reads."""
    if (method == "boundary") != (labels is not None):
        raise click.UsageError("--labels and --method boundary belong together")
    if labels:
        options.refuse_idle("--method sefa and pca", "count")
    else:
        options.refuse_idle("--labels", "latents")
    refuse_existing([out], force)
    with quick_imports():
        labelled = _read_labels(labels) if labels else None
        import torch

        from stylegan_torch.editing import directions as finding
        from stylegan_torch.editing.latents import from_seeds, load
    G = open_generator(network, device, exact=True).G
    chosen = [] if layers == "all" else chosen_layers(G, layers, "--layers")
    if labelled:
        numbers, values = labelled
        if latents:
            all_ws = load(latents, G).ws
            if max(numbers) >= len(all_ws):
                raise StyleGANError(f"{labels}: there is no latent {max(numbers)} in {latents}, only {len(all_ws)}")
            ws = all_ws[numbers]
        else:
            note_no_class(G, None)
            ws = from_seeds(G, numbers).ws
        found = finding.boundary(G, ws, torch.tensor(values), layers=chosen)
    else:
        found = {"sefa": finding.sefa, "pca": finding.pca}[method](G, count, layers=chosen)
    finding.save(out, found, force)
    meaning = {"sefa": "eigenvalue", "pca": "share of variance", "boundary": "accuracy"}[method]
    rows = [["direction", meaning]] + [[str(i), f"{value:.3g}"] for i, value in enumerate(found.importances.tolist())]
    say(*columns(rows))


def _read_labels(path: Path) -> tuple[list[int], list[float]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise StyleGANError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StyleGANError(f"{path} is no table in UTF-8: {error}") from error
    numbers, values = [], []
    for line, row in enumerate(rows, start=1):
        try:
            number, value = int(row[0]), float(row[1])
        except (ValueError, IndexError) as error:
            if line == 1 and not row[0].strip().isdecimal():  # a heading
                continue
            raise StyleGANError(f"{path}, line {line}: {','.join(row)!r} is not a seed and a label") from error
        numbers.append(number)
        values.append(value)
    if not numbers:
        raise StyleGANError(f"{path} has no labels: lines such as 12,1 are wanted")
    return numbers, values
