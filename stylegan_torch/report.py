"""The page `stylegan-verify --report` writes: tables, and pictures side by side, in one file."""

from __future__ import annotations

import base64
import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, select_autoescape
from torch import Tensor

from stylegan_torch import __version__
from stylegan_torch.files import new_file
from stylegan_torch.images import to_pil, to_uint8
from stylegan_torch.reference import Reference
from stylegan_torch.verify import Verdict

PICTURES = 16
"""How many pictures a page shows at most."""


def write_report(path: Path, verdict: Verdict, reference: Reference, network: dict[str, Any], force: bool) -> None:
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
    text = resources.files("stylegan_torch").joinpath("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=select_autoescape(default=True, default_for_string=True)).from_string(text)
    originals = reference.arrays["images"]
    gain = amplification(originals, verdict.images)
    page = template.render(
        verdict=verdict,
        record=reference.record,
        network=network,
        version=__version__,
        rows=[(comparison.cells(), comparison.passed) for comparison in verdict.comparisons],
        layers=[(layer, comparison.cells(), comparison.passed) for layer, comparison in verdict.layers],
        gain=gain,
        pictures=[
            (seed, *(_data_url(picture) for picture in _triple(originals[i : i + 1], verdict.images[i : i + 1], gain)))
            for i, seed in enumerate(reference.record["seeds"][:PICTURES])
        ],
    )
    with new_file(path, force) as file:
        file.write(page.encode())


def amplification(originals: Tensor, ours: Tensor) -> int:
    """Return the power of ten that makes the largest difference visible without exceeding the range; at least 1."""
    largest = float((originals - ours).abs().max())
    return 1 if not largest > 0 else max(1, 10 ** int(np.floor(np.log10(1 / largest))))


def _triple(original: Tensor, ours: Tensor, gain: int) -> list[np.ndarray[Any, Any]]:
    difference = (original - ours).abs() * (2 * gain) - 1
    return [to_uint8(picture).numpy()[0] for picture in (original, ours, difference)]


def _data_url(picture: np.ndarray[Any, Any]) -> str:
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
