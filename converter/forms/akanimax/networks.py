"""akanimax/pro_gan_pytorch, versions 2, 3 (docs/spec/COMMUNITY.md 3). ProGAN with other gains, no pixel normalisation
after the first layer; sizes follow from the tensors."""

from __future__ import annotations

import math
from dataclasses import replace

from converter.contents import Found
from converter.foreign import ForeignNetwork, mapping
from converter.forms.akanimax import FORM
from converter.forms.akanimax.header import Header, header_of
from converter.forms.state_dict import shape_of, shapes_of
from converter.forms.tensorflow.progan import FOUR_TO_DENSE
from converter.table import SAME, Step, Table, Transform, permute, product
from stylegan_torch.networks import progan
from stylegan_torch.networks.layers import log2_resolution

_BOTH = {"weight": ("weight", SAME), "bias": ("bias", SAME)}


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file; versions since 3 have their settings beside the tensors."""
    use_eql = bool(mapping(found.beside("conf") or {}, "conf").get("use_eql", True))
    old = {"initial_block.conv_1.weight", "final_block.conv_1.weight"} & set(found.values)
    network = found.network(FORM.id)
    header: Header = {
        "build_func_name": found.kind,
        "version": 2 if old else 3,
        "use_eql": use_eql,
        "variables": list(network.tensors),
    }
    return replace(network, header=header)


def _is_old(network: ForeignNetwork) -> bool:
    return header_of(network)["version"] == 2


def _scale(network: ForeignNetwork) -> progan.WeightScale:
    return "equalized" if header_of(network)["use_eql"] else "none"


def generator_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `Generator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "rgb_converters.{}.weight", 4)
    first = "initial_block" if _is_old(network) else "layers.0"
    return progan.GeneratorConfig(
        z_dim=shape_of(tensors, f"{first}.conv_1.weight", 4)[0],
        c_dim=0,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        normalize_z=not _is_old(network),
        weight_scale=_scale(network),
        first_gain=math.sqrt(2.0),
        rgb_gain=math.sqrt(2.0),
        first_pixel_norm=False,
    )


def generator_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    first, shift = ("initial_block", 1) if _is_old(network) else ("layers.0", 0)
    flat = Transform(Step(lambda x: x.flatten(0, 2), lambda x: x.reshape(-1, 4, 4, config.z_dim)))
    dense = Transform(*permute(1, 2, 3, 0).steps, *flat.steps)
    rows = [
        *product({"b4.fc": f"{first}.conv_1"}, {"weight": ("weight", dense), "bias": ("bias", SAME)}, "."),
        *product({"b4.conv1": f"{first}.conv_2"}, _BOTH, "."),
        *product({"b{r}.conv0": "layers.{block}.conv_1", "b{r}.conv1": "layers.{block}.conv_2"}, _BOTH, "."),
        *product({"b{r}.torgb": "rgb_converters.{level}"}, _BOTH, "."),
    ]
    return Table(rows, (), lambda r, i: {"level": log2_resolution(r) - 2, "block": log2_resolution(r) - 2 - shift})


def discriminator_config(network: ForeignNetwork) -> progan.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    tensors, old = network.tensors, _is_old(network)
    rgbs = shapes_of(tensors, "rgb_to_features.{}.weight" if old else "from_rgb.{}.0.weight", 4)
    last = "final_block" if old else f"layers.{len(rgbs) - 1}"
    first = shape_of(tensors, f"{last}.conv_1.weight", 4)
    return progan.DiscriminatorConfig(
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][1],
        channels=tuple(rgb[0] for rgb in (rgbs if old else reversed(rgbs))),
        fc_dim=shape_of(tensors, f"{last}.conv_2.weight", 4)[0],
        pool_first=False,
        mbstd_group_size=None if old else 4,
        mbstd_num_features=first[1] - first[0],
        weight_scale=_scale(network),
        score_gain=math.sqrt(2.0),
        rgb_activation=not old,
    )


def discriminator_table(network: ForeignNetwork, config: progan.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    top, old = log2_resolution(config.img_resolution) - 2, _is_old(network)
    last = "final_block" if old else f"layers.{top}"
    flat = Transform(Step(lambda x: x.flatten(1), lambda x: x[:, :, None, None]))
    rows = [
        *product({"b4.conv": f"{last}.conv_1"}, _BOTH, "."),
        *product({"b4.fc": f"{last}.conv_2"}, {"weight": ("weight", FOUR_TO_DENSE), "bias": ("bias", SAME)}, "."),
        *product({"b4.out": f"{last}.conv_3"}, {"weight": ("weight", flat), "bias": ("bias", SAME)}, "."),
        *product({"b{r}.conv0": "layers.{block}.conv_1", "b{r}.conv1": "layers.{block}.conv_2"}, _BOTH, "."),
        *product({"b{r}.fromrgb": "rgb_to_features.{rgb}" if old else "from_rgb.{rgb}.0"}, _BOTH, "."),
    ]

    def fields(r: int, i: int) -> dict[str, int]:
        level = log2_resolution(r) - 2
        return {"block": level - 1, "rgb": level} if old else {"block": top - level, "rgb": top - level}

    return Table(rows, (), fields)
