"""ProGAN: keywords and tables of its TensorFlow release, of the copy that ships with StyleGAN, and of the Theano era
(docs/spec/TF.md 1.6, 2.1, 3.1)."""

from __future__ import annotations

import torch

from converter.foreign import ForeignNetwork, Keywords
from converter.forms.tensorflow import TF, THEANO
from converter.forms.tensorflow.header import built_header_of, header_of
from converter.forms.tensorflow.keywords import feature_maps, growing_state, kept_lod, level_channels, picture_side
from converter.table import (
    FLIP,
    HWIO,
    HWIO_FLIPPED,
    HWOI_FLIPPED,
    SAME,
    TRANSPOSE,
    Fields,
    Kept,
    Row,
    Step,
    Table,
    Transform,
    chain,
    permute,
    product,
)
from stylegan_torch.networks import progan
from stylegan_torch.networks.layers import log2_resolution

_SHARED: dict[str, object] = {
    "num_channels": 1,
    "resolution": None,
    "label_size": 0,
    "fmap_base": 8192,
    "fmap_decay": 1.0,
    "fmap_max": 512,
    "use_wscale": True,
    "fused_scale": True,
    "structure": None,
}
DEFAULTS: dict[str, dict[str, object]] = {
    "G_paper": {
        **_SHARED,
        "latent_size": None,
        "normalize_latents": True,
        "use_pixelnorm": True,
        "pixelnorm_epsilon": 1e-8,
        "use_leakyrelu": True,
    },
    "D_paper": {**_SHARED, "mbstd_group_size": 4},
}
_THEANO_DEFAULTS = {"fused_scale": False, "mbstd_group_size": 16}


def keywords(network: ForeignNetwork) -> Keywords:
    """Return the keywords of the build function."""
    header = built_header_of(network)
    function, extra = header["build_func_name"], _THEANO_DEFAULTS if _is_theano(network) else {}
    return Keywords(function, DEFAULTS[function], header["static_kwargs"], extra)


def _is_theano(network: ForeignNetwork) -> bool:
    return network.form == THEANO.id


def _lod(network: ForeignNetwork) -> str:
    return "cur_lod" if _is_theano(network) else "lod"


def _weight_scale(network: ForeignNetwork, kw: Keywords) -> progan.WeightScale:
    if not kw.flag("use_wscale"):
        return "none"
    return "stored" if _is_theano(network) else "equalized"


def generator_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `G_paper` network."""
    kw = keywords(network)
    resolution = picture_side(network, kw)
    return progan.GeneratorConfig(
        z_dim=feature_maps(kw, 0) if kw.get("latent_size") is None else kw.integer("latent_size", 1),
        c_dim=kw.integer("label_size"),
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=level_channels(kw, resolution),
        activation="lrelu" if kw.flag("use_leakyrelu") else "relu",
        normalize_z=kw.flag("normalize_latents"),
        use_pixel_norm=kw.flag("use_pixelnorm"),
        pixel_norm_eps=kw.number("pixelnorm_epsilon"),
        weight_scale=_weight_scale(network, kw),
        **growing_state(network, kw, _lod(network)),
    )


def discriminator_config(network: ForeignNetwork) -> progan.DiscriminatorConfig:
    """Return the config of a `D_paper` network."""
    kw = keywords(network)
    resolution = picture_side(network, kw)
    labels, group = kw.integer("label_size"), kw.integer("mbstd_group_size")
    return progan.DiscriminatorConfig(
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=level_channels(kw, resolution),
        fc_dim=feature_maps(kw, 0),
        c_dim=labels,
        num_label_logits=0 if _ships_with_stylegan(network) else labels,
        pool_first=kw.flag("fused_scale"),
        mbstd_group_size=group,
        mbstd_num_features=int(group > 1),
        weight_scale=_weight_scale(network, kw),
        **growing_state(network, kw, _lod(network)),
    )


def _ships_with_stylegan(network: ForeignNetwork) -> bool:
    return network.form == TF.id and header_of(network)["class"] == "dnnlib.tflib.network.Network"


def _fields(resolution: int) -> Fields:
    return lambda r, i: {"lod": log2_resolution(resolution) - log2_resolution(r)}


def generator_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `G_paper` network.

    The fused enlargement applies a kernel rotated with respect to the unfused one, and stores it [k, k, out, in] in
    the original release, [k, k, in, out] in StyleGAN's copy; ours is that of the unfused one.
    """
    kw = keywords(network)
    conv: Transform = HWIO
    enlarge, name = (HWIO_FLIPPED, "Conv0_up") if kw.flag("fused_scale") else (HWIO, "Conv0")
    if kw.flag("fused_scale") and not _ships_with_stylegan(network):
        enlarge = HWOI_FLIPPED
    dense, rgb = TRANSPOSE, HWIO
    if _is_theano(network):
        conv = enlarge = FLIP  # Theano convolves where TensorFlow correlates
        dense, rgb = dense_from_4x4(config.z_dim), _IO_TO_1X1
    rows = [
        *_layers({"b4.fc": "4x4/Dense"}, dense),
        *_layers({"b4.conv1": "4x4/Conv", "b{r}.conv1": "{r}x{r}/Conv1"}, conv),
        *_layers({"b{r}.conv0": "{r}x{r}/" + name}, enlarge),
        *_layers({"b{r}.torgb": "ToRGB_lod{lod}"}, rgb),
    ]
    return Table(
        rows,
        kept_lod(config.lod, _lod(network)),
        _fields(config.img_resolution),
    )


def discriminator_table(network: ForeignNetwork, config: progan.DiscriminatorConfig) -> Table:
    """Return the table of a `D_paper` network."""
    kw = keywords(network)
    conv, rgb, fc, out = HWIO, HWIO, TRANSPOSE, TRANSPOSE
    kept = kept_lod(config.lod, _lod(network))
    if _is_theano(network):
        conv, rgb, fc, out = FLIP, _IO_TO_1X1, _4X4_TO_DENSE, TRANSPOSE
        kept = [*kept, Kept("gdrop_strength", default=lambda _: torch.tensor(0.0))]
    second = "Conv1_down" if kw.flag("fused_scale") else "Conv1"
    rows = [
        *_layers({"b{r}.fromrgb": "FromRGB_lod{lod}"}, rgb),
        *_layers({"b4.conv": "4x4/Conv", "b{r}.conv0": "{r}x{r}/Conv0", "b{r}.conv1": "{r}x{r}/" + second}, conv),
        *_layers({"b4.fc": "4x4/Dense0"}, fc),
        *_layers({"b4.out": "4x4/Dense1"}, out),
    ]
    return Table(rows, kept, _fields(config.img_resolution))


def _layers(scopes: dict[str, str], weight: Transform) -> list[Row]:
    leaves = {"weight": ("weight", weight), "weight_scale": ("scale", SAME), "bias": ("bias", SAME)}
    return product(scopes, leaves)


_IO_TO_1X1 = chain(TRANSPOSE, Transform(Step(lambda x: x[:, :, None, None], lambda x: x[:, :, 0, 0])))
"""Theano 1×1 kernel [in, out] to [out, in, 1, 1]."""
FOUR_TO_DENSE = Transform(Step(lambda x: x.flatten(1), lambda x: x.reshape(len(x), -1, 4, 4)))
"""4×4 kernel [out, in, 4, 4] of the first dense layer to [out, in · 16]."""
_4X4_TO_DENSE = chain(FLIP, FOUR_TO_DENSE)
"""The same of Theano, which convolves where others correlate."""


def dense_from_4x4(inputs: int) -> Transform:
    """Theano "full" 4×4 kernel [out, in, 4, 4] of a 1×1 input to [out · 16, in]."""
    flat = Transform(Step(lambda x: x.flatten(0, 2), lambda x: x.reshape(-1, 4, 4, inputs)))
    return chain(permute(0, 2, 3, 1), flat)
