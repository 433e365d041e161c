"""Looking into layers: their channels as small pictures, their spectrum, and how much each RGB layer adds."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.drawing.images import Picture
from stylegan_torch.editing.spectra import average_spectrum
from stylegan_torch.explorer.fields import FieldError, choice, whole
from stylegan_torch.explorer.studio import Studio, frame

COUNT, COLUMNS = 64, 8
"""Channels at once, and in a row."""
SIDE = 48
"""Largest side of a channel's picture."""
_AT_ONCE = 8
"""Channels whose spectra are in memory together."""
_LEAST = 8
"""Side of the smallest maps that have a spectrum."""
_FIELDS: Mapping[str, object] = {"state": {}, "layer": None, "first": 0}


def look(studio: Studio, asked: object) -> bytes:
    """Return a frame of what is in a picture's layers.

    Without "layer", {"layers": [{"name", "channels", "height", "width", "share"}]}, where share is how much of the
    picture an RGB layer adds; with it, {"channels", "first", "count", "columns", "spectrum"} and a sheet of channels.

    Args:
        studio: has the networks.
        asked: {"state": of the page, "layer": a name or null, "first": of the channels}.

    Raises:
        StyleGANError: if something else is asked for than there is.
    """
    if not isinstance(asked, dict) or not set(asked) <= set(_FIELDS):
        raise FieldError("layers", asked, f"an object of {', '.join(_FIELDS)}")
    fields = {**_FIELDS, **asked}
    request = studio.read(fields["state"])
    renderer = studio.renderer_of(request)
    latents = renderer.compose(request.picture)
    if fields["layer"] is None:
        return frame({"kind": "layers", "layers": _overview(renderer.outputs(latents, request.picture))})
    layer = choice("Layer", fields["layer"], renderer.layers)
    features = renderer.features(latents, request.picture, layer)
    first = whole("Channel", fields["first"], low=0, high=len(features) - 1)
    some = features[first : first + COUNT]
    about = {"layer": layer, "channels": len(features), "first": first, "count": len(some), "columns": COLUMNS}
    return frame({"kind": "channels", **about, "spectrum": _spectrum(features)}, _sheet(some))


def _overview(outputs: Mapping[str, tuple[tuple[int, ...], float]]) -> list[dict[str, object]]:
    added = {name: spread for name, (shape, spread) in outputs.items() if name.endswith("torgb")}
    whole_ = sum(added.values())
    told = math.isfinite(whole_) and whole_ > 0
    names = ("channels", "height", "width")
    return [
        {
            "name": name,
            **dict(zip(names, shape, strict=True)),
            "share": added[name] / whole_ if told and added.get(name) else None,
        }
        for name, (shape, _) in outputs.items()
    ]


def _spectrum(features: Tensor) -> list[float]:
    """Return the mean power of maps [C, H, W] from frequency 0 to ½ cycle a sample, in decibels.

    There is none of maps that are small, the same everywhere, or not finite.
    """
    spread = features.std()
    if min(features.shape[1:]) < _LEAST or not 0 < spread < math.inf:
        return []
    profile = torch.zeros((), dtype=torch.float64)
    for some in torch.split(features, _AT_ONCE):
        found = average_spectrum([some[None]], mean=some.mean(dim=(1, 2)), std=spread.expand(len(some)))
        profile = profile + found.profile * (len(some) / len(features))
    decibels = 10 * profile.clamp(min=1e-20).log10()
    return [round(each, 2) for each in decibels.tolist()]


def _sheet(features: Tensor) -> Picture:
    """Return maps [C, H, W] side by side [h, w, 1]: from black, the lowest, to white, the highest, but for outliers."""
    height, width = features.shape[1:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = F.interpolate(features[None].float(), size, mode="area")[0]
    low, high = small.flatten().quantile(torch.tensor([0.01, 0.99]).to(small))
    gray = ((small - low) / (high - low).clamp(min=1e-12)).clamp(0, 1) * 255
    rows = math.ceil(len(gray) / COLUMNS)
    sheet = gray.new_zeros(rows * COLUMNS, *size)
    sheet[: len(gray)] = gray
    placed = sheet.reshape(rows, COLUMNS, *size).permute(0, 2, 1, 3).reshape(rows * size[0], COLUMNS * size[1], 1)
    picture: Picture = placed.round().to(torch.uint8).cpu().numpy()
    return picture
