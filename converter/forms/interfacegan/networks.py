"""InterFaceGAN: genforce's generators under older names (docs/spec/COMMUNITY.md 10).

Which enlargements are fused shows in the names; their kernels are stored [k, k, in, out].
"""

from __future__ import annotations

from converter.foreign import ForeignNetwork
from converter.forms.genforce.read import lod_of
from converter.forms.state_dict import count, shape_of, shapes_of, stored_filters, taps_of
from converter.forms.tensorflow.keywords import kept_lod
from converter.forms.tensorflow.progan import dense_from_4x4
from converter.table import FLIP, HWIO_FLIPPED, NOISE, SAME, UNBATCH, Kept, Row, Table, chain, product
from stylegan_torch.networks import progan, stylegan1
from stylegan_torch.networks.layers import log2_resolution, resolutions


def _fields(r: int, i: int) -> dict[str, int]:
    level = log2_resolution(r) - 2
    return {"level": level, "even": 2 * level, "odd": 2 * level + 1}


def _enlarging_rows(network: ForeignNetwork, resolution: int, part: str = "") -> list[Row]:
    """Return the rows of the kernels that enlarge."""
    names, rows = network.header["variables"], []
    for r in resolutions(resolution)[1:]:
        fused = f"{part}layer{_fields(r, 0)['even']}.weight"
        plain = fused.replace(".weight", ".conv.weight")
        theirs, transform = (fused, HWIO_FLIPPED) if fused in names else (plain, SAME)
        rows.append(Row(f"{part}b{r}.conv0.weight", theirs, transform))
    return rows


def stylegan_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyleGANGenerator`."""
    tensors, blur = network.tensors, "synthesis.layer2.blur.kernel"
    layer_dim, z_dim = shape_of(tensors, "mapping.dense0.linear.weight", 2)
    rgbs = shapes_of(tensors, "synthesis.output{}.conv.weight", 4)
    return stylegan1.GeneratorConfig(
        mapping=stylegan1.MappingConfig(
            z_dim,
            0,
            w_dim=shape_of(tensors, "truncation.w_avg", 1)[0],
            num_layers=count(tensors, "mapping.dense{}.linear.weight"),
            layer_dim=layer_dim,
        ),
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        blur_filter=taps_of(tensors, blur) if blur in tensors or len(rgbs) == 1 else None,
        lod=lod_of(tensors, "synthesis.lod"),
        official_noise="stored",
    )


def stylegan_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANGenerator`; its own truncation, as a factor for every layer, is carried along."""
    layers = {"synthesis.b{r}.conv0": "synthesis.layer{even}", "synthesis.b{r}.conv1": "synthesis.layer{odd}"}
    leaves = {
        "bias": ("epilogue.bias", SAME),
        "noise_strength": ("epilogue.apply_noise.weight", SAME),
        "noise_const": ("epilogue.apply_noise.noise", NOISE),
        "affine.weight": ("epilogue.style_mod.dense.linear.weight", SAME),
        "affine.bias": ("epilogue.style_mod.dense.wscale.bias", SAME),
    }
    rows = [
        Row("mapping.w_avg", "truncation.w_avg"),
        Row("mapping.fc{i}.weight", "mapping.dense{i}.linear.weight"),
        Row("mapping.fc{i}.bias", "mapping.dense{i}.wscale.bias"),
        Row("synthesis.b4.conv0.const", "synthesis.layer0.first_layer", UNBATCH),
        *_enlarging_rows(network, config.img_resolution, "synthesis."),
        Row("synthesis.b{r}.conv1.weight", "synthesis.layer{odd}.conv.weight"),
        *product(layers, leaves, "."),
        Row("synthesis.b{r}.torgb.weight", "synthesis.output{level}.conv.weight"),
        Row("synthesis.b{r}.torgb.bias", "synthesis.output{level}.bias"),
    ]
    kept = [
        stored_filters(r"synthesis\.layer\d+\.blur\.kernel", config.blur_filter),
        *kept_lod(config.lod, "synthesis.lod"),
        Kept(r"truncation\.truncation"),
    ]
    return Table(rows, kept, _fields)


def pggan_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `PGGANGenerator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "output{}.conv.weight", 4)
    return progan.GeneratorConfig(
        z_dim=shape_of(tensors, "layer0.conv.weight", 4)[1],
        c_dim=0,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        lod=lod_of(tensors, "lod"),
    )


def pggan_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `PGGANGenerator`."""
    scopes = {"b{r}.conv1": "layer{odd}", "b{r}.torgb": "output{level}"}
    rows = [
        Row("b4.fc.weight", "layer0.conv.weight", chain(FLIP, dense_from_4x4(config.z_dim))),
        Row("b4.fc.bias", "layer0.wscale.bias"),
        *_enlarging_rows(network, config.img_resolution),
        Row("b{r}.conv0.bias", "layer{even}.wscale.bias"),
        *product(scopes, {"weight": ("conv.weight", SAME), "bias": ("wscale.bias", SAME)}, "."),
    ]
    return Table(rows, kept_lod(config.lod, "lod"), _fields)
