"""The page `stylegan-verify --report` writes: tables, and pictures side by side, in one file."""

from __future__ import annotations

import base64
import io
import math
from importlib import resources
from pathlib import Path

import numpy as np
from jinja2 import Environment, select_autoescape
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch import __version__
from stylegan_torch.drawing.images import to_pil, to_uint8
from stylegan_torch.files.atomic import new_file
from stylegan_torch.proof.reference import Reference
from stylegan_torch.proof.verify import HEAD, Verdict
from stylegan_torch.types import JsonObject

PICTURES = 16
"""How many pictures a page shows at most."""
VISIBLE = 0.25
"""Share of the range that a difference, root mean square, is brought to."""


def write_report(
    path: Path, verdict: Verdict, reference: Reference, *, network: JsonObject, force: bool = False
) -> None:
    """Write a self-contained HTML page.

    Args:
        path: of the page.
        verdict: the outcome.
        reference: what it was compared with.
        network: name and origin of ours.
        force: replace an existing page.

    Raises:
        StyleGANError: if the page cannot be written.
    """
    text = resources.files("stylegan_torch.proof").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    environment.filters["thousands"] = lambda value: f"{value:,}" if isinstance(value, int) else value
    template = environment.from_string(text)
    originals = reference.arrays["images"]
    page = template.render(
        verdict=verdict,
        record=reference.record,
        network=network,
        another_file=network.get("sha256") != reference.record["origin"].get("sha256"),
        version=__version__,
        head=HEAD,
        rows=[(comparison.cells(), comparison.passed) for comparison in verdict.comparisons],
        layers=[(layer, comparison.cells(), comparison.passed) for layer, comparison in verdict.layers],
        pictures=[
            (seed, *_row(originals[i : i + 1], verdict.images[i : i + 1]))
            for i, seed in enumerate(reference.record["seeds"][:PICTURES])
        ],
    )
    with new_file(path, force) as file:
        file.write(page.encode())


def amplification(original: Tensor, ours: Tensor) -> int:
    """Return by how much to multiply the difference of two pictures so that it can be seen; at least 1.

    That is, in steps of 1, 2, 5, 10 …, so that its root mean square is at most a quarter of the range of [-1, 1].
    """
    typical = float((original.double() - ours.double()).square().mean().sqrt()) / 2
    if not 0 < typical < math.inf:
        return 1
    power = 10.0 ** math.floor(math.log10(VISIBLE / typical))
    return max(1, int(next(step * power for step in (5, 2, 1) if step * power * typical <= VISIBLE)))


def _row(original: Tensor, ours: Tensor) -> tuple[list[str], str]:
    """Return original, ours and their difference as addresses of pictures, and what the third shows."""
    gain, largest = amplification(original, ours), float((original - ours).abs().max())
    difference = (original - ours).abs() * gain - 1
    pictures = [_data_url(to_uint8(picture).numpy()[0]) for picture in (original, ours, difference)]
    return pictures, f"difference × {gain:,}, at most {largest:.1e}" if largest else "identical"


def _data_url(picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
