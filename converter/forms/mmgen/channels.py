"""mmgeneration, mmagic: the order of channels, which files don't tell, and the average w (docs/spec/COMMUNITY.md 7)."""

from __future__ import annotations

from dataclasses import replace

from converter.contents import Found
from converter.foreign import ForeignNetwork
from converter.forms import completion
from converter.forms.mmgen import FORM
from converter.forms.mmgen.header import Assumed, header_of
from converter.forms.pytorch.state import ASSUMED
from converter.table import Table, chain, flip

MEAN_SAMPLES = 4096
"""How many w its programs average, as files have no average."""
_STYLEGAN3 = "StyleGANv3Generator"
_ORDER = (
    "the file does not tell the order of channels: blue, green, red is assumed, and turned round, "
    "unless --assume channel_order=rgb says otherwise (published files with _rgb in their names are so)"
)
_OF_STYLEGAN3 = (
    "mmgeneration's StyleGAN3 is read as the official module with other names; no picture of that program was "
    "compared, and the order of channels is taken as red, green, blue, unless --assume channel_order=bgr says otherwise"
)
_AXIS = {"torgb.weight": 0, "torgb.bias": 0, "fromrgb.weight": 1}
"""Which axis of a tensor of ours is that of the channels of pictures."""


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    assumed: Assumed = {"channel_order": "bgr"}
    if found.kind == _STYLEGAN3:
        return found.network(FORM.id, assumed={"channel_order": "rgb", **ASSUMED["StyleGAN3"]})
    return found.network(FORM.id, assumed=assumed)


def notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what is assumed and made."""
    kinds = {header_of(network)["build_func_name"] for network in networks.values()}
    notes = [_ORDER] if kinds - {_STYLEGAN3} else []
    if _STYLEGAN3 in kinds:
        notes.append(_OF_STYLEGAN3)
    elif kinds & {"StyleGANv1Generator", "StyleGANv2Generator"}:
        made = completion.completion_notes(
            networks, average="latent_avg", noise="injected_noise_", samples=MEAN_SAMPLES
        )
        notes += made
    return notes


def in_rgb(table: Table, network: ForeignNetwork, img_channels: int) -> Table:
    """Return a table that turns the channels of pictures round, if they are stored blue first."""
    if header_of(network)["assumed"]["channel_order"] == "rgb" or img_channels != 3:
        return table
    axes = {row.ours: _AXIS.get(".".join(row.ours.split(".")[-2:])) for row in table.rows}
    rows = [
        row if (axis := axes[row.ours]) is None else replace(row, transform=chain(row.transform, flip(axis)))
        for row in table.rows
    ]
    return replace(table, rows=rows)
