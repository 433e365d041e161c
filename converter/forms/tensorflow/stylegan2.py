"""StyleGAN2 configs B to F and StyleGAN2-ADA: keywords and tables of the TensorFlow releases
(docs/spec/TF.md 2.3, 2.4, 3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork, Keywords
from converter.forms.completion import with_noise
from converter.forms.tensorflow.header import header_of
from converter.forms.tensorflow.keywords import (
    NOT_GROWN,
    component,
    feature_maps,
    growing_state,
    kept_lod,
    level_channels,
    level_names,
    picture_side,
)
from converter.table import (
    HWIO,
    HWIO_FLIPPED,
    NOISE,
    PLUS_ONE,
    SAME,
    TRANSPOSE,
    UNBATCH,
    Kept,
    Row,
    Table,
    product,
)
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.layers import ACTIVATIONS, log2_resolution

_MAPS: dict[str, object] = {"fmap_base": 16384, "fmap_decay": 1.0, "fmap_min": 1, "fmap_max": 512}
_IMAGE: dict[str, object] = {
    "num_channels": 3,
    "resolution": None,
    "nonlinearity": "lrelu",
    "resample_kernel": [1, 3, 3, 1],
}
_MAPPING: dict[str, object] = {
    "latent_size": 512,
    "label_size": 0,
    "dlatent_size": 512,
    "mapping_layers": 8,
    "mapping_lrmul": 0.01,
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
}
_GROWN: dict[str, object] = {"structure": "auto"}
_SG2_D: dict[str, object] = {**_MAPS, **_IMAGE, "label_size": 0, "mbstd_group_size": 4, "mbstd_num_features": 1}

# (build function, whether it is ADA's) -> keywords it knows and what it assumes
DEFAULTS: dict[tuple[str, bool], dict[str, object]] = {
    ("G_main", False): {"truncation_psi": 0.5, "truncation_cutoff": None},
    ("G_main", True): {"truncation_psi": 0.5, "truncation_cutoff": None},
    ("G_mapping", False): {**_MAPPING, "mapping_fmaps": 512},
    ("G_mapping", True): {**_MAPPING, "mapping_fmaps": None, "label_fmaps": None},
    ("G_synthesis_stylegan2", False): {**_MAPS, **_IMAGE, "architecture": "skip"},
    ("G_synthesis_stylegan_revised", False): {**_MAPS, **_IMAGE, **_GROWN},
    ("G_synthesis", True): {
        **_MAPS,
        **_IMAGE,
        "architecture": "skip",
        "fmap_const": None,
        "use_noise": True,
        "num_fp16_res": 0,
        "conv_clamp": None,
    },
    ("D_stylegan", False): {**_SG2_D, **_GROWN},
    ("D_stylegan2", False): {**_SG2_D, "architecture": "resnet"},
    ("D_main", True): {
        **_SG2_D,
        "mbstd_group_size": None,
        "architecture": "resnet",
        "mapping_layers": 0,
        "mapping_fmaps": None,
        "mapping_lrmul": 0.1,
        "num_fp16_res": 0,
        "conv_clamp": None,
        "score_size": 1,
        "score_max": 1,
        "use_spectral_norm": False,
    },
}


def _taps(kw: Keywords) -> tuple[float, ...]:
    return kw.taps("resample_kernel") or (1.0, 1.0)


def _is_ada(network: ForeignNetwork) -> bool:
    header = header_of(network)
    synthesis = header["components"].get("synthesis")
    return header["build_func_name"] == "D_main" or (
        synthesis is not None and synthesis["build_func_name"] == "G_synthesis"
    )


def _component_keywords(network: ForeignNetwork, key: str, functions: tuple[str, ...]) -> Keywords:
    part = component(network, key, functions)
    function = part["build_func_name"]
    defaults = DEFAULTS[function, _is_ada(network)]
    return Keywords(function, defaults, part["static_kwargs"], header_of(network)["static_kwargs"])


def _synthesis_keywords(network: ForeignNetwork) -> Keywords:
    functions = ("G_synthesis_stylegan2", "G_synthesis_stylegan_revised", "G_synthesis")
    return _component_keywords(network, "synthesis", functions)


def generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `G_main` network."""
    kw = _synthesis_keywords(network)
    ada = _is_ada(network)
    top = Keywords("G_main", DEFAULTS["G_main", ada], header_of(network)["static_kwargs"])
    low, resolution = kw.integer("fmap_min"), _nominal_resolution(network, kw)
    revised = kw.function == "G_synthesis_stylegan_revised"
    psi = top.optional_number("truncation_psi")
    return stylegan2.GeneratorConfig(
        mapping=_mapping_config(_component_keywords(network, "mapping", ("G_mapping",)), ada),
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=level_channels(kw, resolution, low),
        const_channels=_const_channels(kw, ada, low),
        architecture="revised" if revised else kw.choice("architecture", "skip", "resnet", "orig"),
        resample_filter=_taps(kw),
        activation=kw.choice("nonlinearity", *ACTIVATIONS),
        use_noise=kw.flag("use_noise") if ada else True,
        conv_clamp=kw.optional_number("conv_clamp") if ada else None,
        num_fp16_res=kw.integer("num_fp16_res") if ada else 0,
        equalized_modulation=True,
        truncation_psi=1.0 if psi is None else psi,
        truncation_cutoff=top.optional_integer("truncation_cutoff", -(1 << 20)),
        official_noise="stored" if "init_res" in header_of(network)["static_kwargs"] else "seeded",
        base_size=_first_level(network),
        attention=_has_attention(network, resolution),
        **(growing_state(network, kw) if revised else NOT_GROWN),
    )


def _nominal_resolution(network: ForeignNetwork, kw: Keywords) -> int:
    """Return the side that a square network with as many levels has; forks say it in ways of their own."""
    keywords = header_of(network)["static_kwargs"]
    if set(keywords) >= _REAL_SIZES:
        return 4 << Keywords(kw.function, {"res_log2": 8}, keywords).integer("res_log2", 0, 12)
    if set(keywords) >= _BOTH_SIDES:
        return picture_side(network, Keywords(kw.function, {"resolution": None}))
    return picture_side(network, kw)


Scopes = Callable[[int], Mapping[str, object]]
"""What fills the brace `{scope}` of source names, from a resolution."""
_REAL_SIZES = {"min_h", "min_w"}
"""Keywords of skyflynil's fork, whose scopes are named by real sizes (docs/spec/NONSQUARE.md 1)."""
_BOTH_SIDES = {"resolution_h", "resolution_w"}
"""Keywords of aydao's fork, in place of `resolution` (docs/spec/NONSQUARE.md 4)."""


def _first_level(network: ForeignNetwork) -> tuple[int, int]:
    """Return height and width of the first level, by the keywords of public forks."""
    keywords = header_of(network)["static_kwargs"]
    if not set(keywords) >= _BOTH_SIDES:
        return base_size(keywords)
    kw, levels = Keywords("aydao's fork", dict.fromkeys(_BOTH_SIDES), keywords), level_names(network.header)
    height, width = kw.integer("resolution_h", 4), kw.integer("resolution_w", 4)
    step = 1 << max(len(levels) - 1, 0)
    if height % step or width % step:
        raise ConvertError(
            f"keywords resolution_h and resolution_w give {height}x{width}, which {len(levels)} levels do not make"
        )
    return height // step, width // step


def lacks_noise(network: ForeignNetwork) -> bool:
    """Tell whether the stored noise maps do not fit the pictures: in aydao's fork they are square whatever those are.

    Its program can then draw with random noise or none.
    """
    header = header_of(network)
    if not (set(header["static_kwargs"]) >= _BOTH_SIDES and "synthesis" in header["components"]):
        return False
    noise = network.tensors.get(f"{header['components']['synthesis']['name']}/noise0")
    height, width = _first_level(network)
    return noise is not None and noise.ndim == 4 and height != width and noise.shape[2] == noise.shape[3]


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    if not any(lacks_noise(network) for network in networks.values()):
        return []
    return [
        "the stored noise maps are square and the pictures are not, so the program draws with random noise or none; "
        "stored noise is made"
    ]


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make noise maps that fit the pictures, where the stored ones do not."""
    if not lacks_noise(network):
        return network
    config = generator_config(network)
    return with_noise(network, config, generator_table(network, config))


def base_size(keywords: Mapping[str, object]) -> tuple[int, int]:
    """Return height and width of the first level, by the keywords of public forks (docs/spec/NONSQUARE.md 1 to 3)."""
    sides = keywords.get("init_res", [keywords.get("min_h", 4), keywords.get("min_w", 4)])
    if keywords.get("square") is False:
        sides = [4, 2]
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(n, int) and 0 < n < 256 for n in sides):
        raise ConvertError(f"keywords give {sides!r} as the size of the first level, which is not two small numbers")
    return sides[0], sides[1]


def _has_attention(network: ForeignNetwork, resolution: int) -> bool:
    """Tell whether the network has self-attention, as skyflynil's may, and is deep enough for it."""
    function, keywords = header_of(network)["build_func_name"], header_of(network)["static_kwargs"]
    asked = Keywords(function, {"use_attention": False}, keywords).flag("use_attention")
    found = any("/attention_" in name for name in network.tensors)
    return (asked or found) and resolution >= 4 << stylegan2.ATTENTION_LEVEL


def _attention_rows(ours: str, theirs: str) -> list[Row]:
    layers = {"key": "f_conv", "query": "g_conv", "value": "h_conv", "out": "attn_conv"}
    scopes = {f"{ours}.{layer}": f"{theirs}/{name}" for layer, name in layers.items()}
    leaves = {"weight": ("kernel", HWIO), "bias": ("bias", SAME), "u": ("u", SAME)}
    return [Row(f"{ours}.gamma", f"{theirs}/gamma"), *product(scopes, leaves)]


def _averages(network: ForeignNetwork, channels: int) -> bool:
    dense = network.tensors.get("4x4/Dense0/weight")
    return dense is not None and dense.ndim == 2 and dense.shape[0] == channels


def _real_names(network: ForeignNetwork, rows: list[Row], size: tuple[int, int]) -> tuple[list[Row], Scopes]:
    """Return rows whose scopes are named as in the fork that made the network, and what fills their braces."""
    keywords = set(header_of(network)["static_kwargs"])
    if keywords >= _REAL_SIZES:
        names = [f"{size[0] << level}x{size[1] << level}" for level in range(13)]
    elif keywords >= _BOTH_SIDES:
        names = level_names(network.header)
    else:
        return rows, lambda r: {}
    renamed = [
        Row(row.ours, row.theirs.replace("{r}x{r}", "{scope}").replace("4x4", names[0]), row.transform) for row in rows
    ]
    return renamed, lambda r: {"scope": names[log2_resolution(r) - 2]}


def _const_channels(kw: Keywords, ada: bool, low: int) -> int:
    if ada and kw.get("fmap_const") is not None:
        return kw.integer("fmap_const", 1)
    return feature_maps(kw, 1, low)


def _mapping_config(kw: Keywords, ada: bool) -> stylegan2.MappingConfig:
    z_dim, w_dim = kw.integer("latent_size", 1), kw.integer("dlatent_size", 1)
    embed = z_dim if not ada or kw.get("label_fmaps") is None else kw.integer("label_fmaps", 1)
    return stylegan2.MappingConfig(
        z_dim=z_dim,
        c_dim=kw.integer("label_size"),
        w_dim=w_dim,
        num_layers=kw.integer("mapping_layers", 0, 256),
        layer_dim=w_dim if kw.get("mapping_fmaps") is None else kw.integer("mapping_fmaps", 1),
        embed_dim=embed,
        lr_multiplier=kw.number("mapping_lrmul"),
        activation=kw.choice("mapping_nonlinearity", *ACTIVATIONS),
        labels="embed" if ada else "concat",
        normalize_z=kw.flag("normalize_latents"),
    )


def _discriminator_keywords(network: ForeignNetwork) -> Keywords:
    function = header_of(network)["build_func_name"]
    return Keywords(function, DEFAULTS[function, _is_ada(network)], header_of(network)["static_kwargs"])


def discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `D_stylegan`, `D_stylegan2` or `D_main` network."""
    kw = _discriminator_keywords(network)
    low, resolution = kw.integer("fmap_min"), _nominal_resolution(network, kw)
    labels = kw.integer("label_size")
    group = kw.optional_integer("mbstd_group_size")
    features = kw.integer("mbstd_num_features")
    revised = kw.function == "D_stylegan"
    config = stylegan2.DiscriminatorConfig(
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=level_channels(kw, resolution, low),
        fc_dim=feature_maps(kw, 0, low),
        c_dim=labels,
        architecture="revised" if revised else kw.choice("architecture", "skip", "resnet", "orig"),
        resample_filter=_taps(kw),
        activation=kw.choice("nonlinearity", *ACTIVATIONS),
        mbstd_group_size=group,
        mbstd_num_features=features if group is None or group > 1 else 0,
        conditioning="select" if labels else "none",
        num_outputs=max(labels, 1),
        base_size=_first_level(network),
        average_pooling=_averages(network, feature_maps(kw, 1, low)),
        attention=_has_attention(network, resolution),
        **(growing_state(network, kw) if revised else NOT_GROWN),
    )
    return _with_ada_fields(config, kw) if kw.function == "D_main" else config


def _with_ada_fields(config: stylegan2.DiscriminatorConfig, kw: Keywords) -> stylegan2.DiscriminatorConfig:
    labels, width = config.c_dim, config.fc_dim
    dim = width if kw.get("mapping_fmaps") is None else kw.integer("mapping_fmaps", 1)
    mapping = stylegan2.MappingConfig(
        z_dim=0,
        c_dim=labels,
        w_dim=dim,
        num_layers=kw.integer("mapping_layers", 0, 256),
        layer_dim=dim,
        embed_dim=dim,
        lr_multiplier=kw.number("mapping_lrmul"),
        activation=kw.choice("nonlinearity", *ACTIVATIONS),
    )
    return replace(
        config,
        mbstd_num_features=kw.integer("mbstd_num_features"),
        conv_clamp=kw.optional_number("conv_clamp"),
        clamp_last_fromrgb=True,
        num_fp16_res=kw.integer("num_fp16_res"),
        conditioning="project" if labels else "none",
        mapping=mapping if labels else None,
        num_outputs=dim if labels else kw.integer("score_max", 1),
        num_scores=kw.integer("score_size", 1),
        spectral_norm=kw.flag("use_spectral_norm"),
    )


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `G_main` network; kernels of enlarging convolutions are rotated for ours."""
    levels = log2_resolution(config.img_resolution)
    parts = header_of(network)["components"]
    m, s = parts["mapping"]["name"], parts["synthesis"]["name"]
    label = "LabelEmbed" if config.mapping.labels == "embed" else "LabelConcat"
    made = lacks_noise(network)
    noise = "made/noise" if made else f"{s}/noise"
    torgb = "/ToRGB_lod{lod}" if config.architecture == "revised" else "/{r}x{r}/ToRGB"
    convs = {"synthesis.b4.conv1": f"{s}/4x4/Conv", "synthesis.b{r}.conv1": s + "/{r}x{r}/Conv1"}
    enlarging = {"synthesis.b{r}.conv0": s + "/{r}x{r}/Conv0_up"}
    leaves = {
        "bias": ("bias", SAME),
        "noise_strength": ("noise_strength", SAME),
        "affine.weight": ("mod_weight", TRANSPOSE),
        "affine.bias": ("mod_bias", PLUS_ONE),
    }
    rows = [
        Row("mapping.w_avg", "dlatent_avg"),
        Row("mapping.embed.weight", f"{m}/{label}/weight", TRANSPOSE),
        Row("mapping.embed.bias", f"{m}/{label}/bias"),
        Row("mapping.fc{i}.weight", m + "/Dense{i}/weight", TRANSPOSE),
        Row("mapping.fc{i}.bias", m + "/Dense{i}/bias"),
        Row("synthesis.b4.const", f"{s}/4x4/Const/const", UNBATCH),
        Row("synthesis.b4.conv1.noise_const", f"{noise}0", NOISE),
        Row("synthesis.b{r}.conv0.noise_const", noise + "{odd}", NOISE),
        Row("synthesis.b{r}.conv1.noise_const", noise + "{even}", NOISE),
        *product(convs, {**leaves, "weight": ("weight", HWIO)}),
        *product(enlarging, {**leaves, "weight": ("weight", HWIO_FLIPPED)}),
        *product({"synthesis.b{r}.torgb": s + torgb}, {**leaves, "weight": ("weight", HWIO)}),
        Row("synthesis.b{r}.skip.weight", s + "/{r}x{r}/Skip/weight", HWIO),
        *_attention_rows("synthesis.b{r}.attention", s + "/{r}x{r}/attention_g"),
    ]
    rows, scopes = _real_names(network, rows, config.base_size)
    return Table(
        rows,
        [*kept_lod(config.lod, "lod", f"{s}/lod"), *([Kept(rf"{re.escape(s)}/noise\d+")] if made else [])],
        lambda r, i: {
            **scopes(r),
            "lod": levels - log2_resolution(r),
            "odd": 2 * log2_resolution(r) - 5,
            "even": 2 * log2_resolution(r) - 4,
        },
        r"made/noise\d+" if made else "(?!)",
    )


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `D_stylegan`, `D_stylegan2` or `D_main` network."""
    levels = log2_resolution(config.img_resolution)
    fromrgb = "FromRGB_lod{lod}" if config.architecture == "revised" else "{r}x{r}/FromRGB"
    convs = {
        "b{r}.fromrgb": fromrgb,
        "b4.conv": "4x4/Conv",
        "b{r}.conv0": "{r}x{r}/Conv0",
        "b{r}.conv1": "{r}x{r}/Conv1_down",
        "b{r}.skip": "{r}x{r}/Skip",
    }
    dense = {
        "b4.fc": "4x4/Dense0",
        "b4.out": "Output",
        "mapping.embed": "LabelEmbed",
        "mapping.fc{i}": "Mapping{i}",
    }
    rows = [
        *product(convs, {"weight": ("weight", HWIO), "bias": ("bias", SAME), "weight_u": ("weight_sn", SAME)}),
        *product(dense, {"weight": ("weight", TRANSPOSE), "bias": ("bias", SAME)}),
        *_attention_rows("b{r}.attention", "{r}x{r}/attention_d"),
    ]
    # PA-GAN's vectors add to the first layer in proportion to its augmentation strength, which is 0 outside training.
    pagan = Kept(r"\d+x\d+/FromRGB/PAGAN/weight", default=lambda name: None)
    kept = [*kept_lod(config.lod, "lod"), *([pagan] if header_of(network)["build_func_name"] == "D_main" else [])]
    rows, scopes = _real_names(network, rows, config.base_size)
    return Table(rows, kept, lambda r, i: {"lod": levels - log2_resolution(r), **scopes(r)})
