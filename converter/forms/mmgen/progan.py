"""mmgeneration's ProGAN (docs/spec/COMMUNITY.md 7.3)."""

from __future__ import annotations

import math

from converter.foreign import ForeignNetwork
from converter.forms.mmgen.channels import in_rgb
from converter.forms.state_dict import shape_of, shapes_of
from converter.table import CHANNELS, FLIP, SAME, Row, Table, chain, permute, product, scaled
from stylegan_torch.networks import progan
from stylegan_torch.networks.layers import log2_resolution, resolutions

_BOTH = {"weight": ("weight_orig", SAME), "bias": ("bias", SAME)}


def generator_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `PGGANGenerator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "torgb_layers.{}.conv.weight_orig", 4)
    return progan.GeneratorConfig(
        z_dim=shape_of(tensors, "noise2feat.linear.weight_orig", 2)[1],
        c_dim=0,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
    )


def generator_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `PGGANGenerator`.

    Kernels of enlargements are stored [in, out, k, k] and rotated, and scaled by the number of their outputs.
    """
    rows = [
        Row("b4.fc.weight", "noise2feat.linear.weight_orig"),
        Row("b4.fc.bias", "noise2feat.bias", CHANNELS),
        *product({"b{r}.conv1": "conv_blocks.{even}.conv", "b{r}.torgb": "torgb_layers.{level}.conv"}, _BOTH, "."),
        Row("b{r}.conv0.bias", "conv_blocks.{odd}.conv.bias"),
    ]
    for level, r in enumerate(resolutions(config.img_resolution)[1:], 1):
        before, after = config.channels[level - 1 : level + 1]
        rotated = chain(permute(1, 0, 2, 3), FLIP)
        transform = rotated if before == after else chain(rotated, scaled(math.sqrt(before / after)))
        rows.append(Row(f"b{r}.conv0.weight", f"conv_blocks.{2 * level - 1}.conv.weight_orig", transform))
    return in_rgb(Table(rows, fields=_indices), network, config.img_channels)


def _indices(r: int, i: int) -> dict[str, int]:
    level = log2_resolution(r) - 2
    return {"level": level, "even": 2 * level, "odd": 2 * level - 1}
