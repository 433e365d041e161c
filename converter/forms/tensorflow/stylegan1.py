"""StyleGAN and config A of StyleGAN2: keywords and tables of the TensorFlow releases (docs/spec/TF.md 2.2, 3.2)."""

from __future__ import annotations

from converter.foreign import ForeignNetwork, Keywords
from converter.forms.tensorflow.header import header_of
from converter.forms.tensorflow.keywords import (
    component,
    feature_maps,
    growing_state,
    kept_lod,
    level_channels,
    picture_side,
)
from converter.table import (
    HWIO,
    HWIO_FLIPPED,
    NOISE,
    SAME,
    TRANSPOSE,
    UNBATCH,
    Row,
    Table,
    product,
)
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import log2_resolution, resolutions

_SHARED: dict[str, object] = {
    "fmap_base": 8192,
    "fmap_decay": 1.0,
    "fmap_max": 512,
    "nonlinearity": "lrelu",
    "use_wscale": True,
    "fused_scale": "auto",
    "blur_filter": [1, 2, 1],
    "structure": "auto",
}
DEFAULTS: dict[str, dict[str, object]] = {
    "G_style": {"truncation_psi": 0.7, "truncation_cutoff": 8},
    "G_mapping": {
        "latent_size": 512,
        "label_size": 0,
        "dlatent_size": 512,
        "mapping_layers": 8,
        "mapping_fmaps": 512,
        "mapping_lrmul": 0.01,
        "mapping_nonlinearity": "lrelu",
        "use_wscale": True,
        "normalize_latents": True,
    },
    "G_synthesis": {
        **_SHARED,
        "dlatent_size": 512,
        "num_channels": 3,
        "resolution": None,
        "use_styles": True,
        "const_input_layer": True,
        "use_noise": True,
        "use_pixel_norm": False,
        "use_instance_norm": True,
    },
    "D_basic": {
        **_SHARED,
        "num_channels": 1,
        "resolution": None,
        "label_size": 0,
        "mbstd_group_size": 4,
        "mbstd_num_features": 1,
    },
}


def _keywords(network: ForeignNetwork, key: str, function: str) -> Keywords:
    part = component(network, key, (function,))
    return Keywords(function, DEFAULTS[function], part["static_kwargs"], header_of(network)["static_kwargs"])


def _fused_from(kw: Keywords, base_size: tuple[int, int]) -> float:
    """Return the nominal resolution from which on enlargements are fused; "auto" is where no side is below 128."""
    return {"auto": 512 / min(base_size), True: 8, False: 1 << 30}[kw.choice("fused_scale", "auto", True, False)]


def _base_size(network: ForeignNetwork) -> tuple[int, int]:
    """Return height and width of the first level; StyleGAN-Human has no keyword for it (docs/spec/NONSQUARE.md 3)."""
    const = network.tensors.get(f"{header_of(network)['components']['synthesis']['name']}/4x4/Const/const")
    return (const.shape[2], const.shape[3]) if const is not None and const.ndim == 4 else (4, 4)


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `G_style` network."""
    top = Keywords("G_style", DEFAULTS["G_style"], header_of(network)["static_kwargs"])
    kw, mapping = _keywords(network, "synthesis", "G_synthesis"), _keywords(network, "mapping", "G_mapping")
    resolution = picture_side(network, kw)
    psi = top.optional_number("truncation_psi")
    cutoff = top.optional_integer("truncation_cutoff", -(1 << 20))
    size = _base_size(network)
    is_human = size != (4, 4)  # the script of StyleGAN-Human neither truncates nor draws noise anew
    return stylegan1.GeneratorConfig(
        mapping=stylegan1.MappingConfig(
            z_dim=mapping.integer("latent_size", 1),
            c_dim=mapping.integer("label_size"),
            w_dim=mapping.integer("dlatent_size", 1),
            num_layers=mapping.integer("mapping_layers", 0, 256),
            layer_dim=mapping.integer("mapping_fmaps", 1),
            lr_multiplier=mapping.number("mapping_lrmul"),
            activation=mapping.choice("mapping_nonlinearity", "lrelu", "relu"),
            normalize_z=mapping.flag("normalize_latents"),
            equalized=mapping.flag("use_wscale"),
        ),
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=level_channels(kw, resolution),
        blur_filter=kw.taps("blur_filter"),
        activation=kw.choice("nonlinearity", "lrelu", "relu"),
        use_styles=kw.flag("use_styles"),
        const_input=kw.flag("const_input_layer"),
        use_noise=kw.flag("use_noise"),
        use_pixel_norm=kw.flag("use_pixel_norm"),
        use_instance_norm=kw.flag("use_instance_norm"),
        equalized=kw.flag("use_wscale"),
        base_size=size,
        truncation_cutoff=max(cutoff or 0, 0),  # the original truncates nothing where it is given no cutoff
        truncation_psi=1.0 if is_human or psi is None else psi,
        official_noise="stored" if is_human else "seeded",
        **growing_state(network, kw),
    )


def discriminator_config(network: ForeignNetwork) -> stylegan1.DiscriminatorConfig:
    """Return the config of a `D_basic` network."""
    kw = Keywords("D_basic", DEFAULTS["D_basic"], header_of(network)["static_kwargs"])
    resolution = picture_side(network, kw)
    group, channels = kw.integer("mbstd_group_size"), level_channels(kw, resolution)
    dense = network.tensors.get("4x4/Dense0/weight")
    halved = dense is not None and dense.ndim == 2 and dense.shape[0] == channels[0] * 8
    return stylegan1.DiscriminatorConfig(
        img_resolution=resolution,
        img_channels=kw.integer("num_channels", 1),
        channels=channels,
        fc_dim=feature_maps(kw, 0),
        c_dim=kw.integer("label_size"),
        blur_filter=kw.taps("blur_filter"),
        activation=kw.choice("nonlinearity", "lrelu", "relu"),
        mbstd_group_size=group,
        mbstd_num_features=kw.integer("mbstd_num_features", 1) if group > 1 else 0,
        equalized=kw.flag("use_wscale"),
        base_size=(4, 2) if halved else (4, 4),  # StyleGAN-Human's are half as wide as high
        **growing_state(network, kw),
    )


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `G_style` network; kernels of fused enlargements are stored rotated."""
    fused_from = _fused_from(_keywords(network, "synthesis", "G_synthesis"), config.base_size)
    levels = log2_resolution(config.img_resolution)
    parts = header_of(network)["components"]
    m, s = parts["mapping"]["name"], parts["synthesis"]["name"]
    first = f"{s}/4x4/" + ("Const" if config.const_input else "Dense")
    scopes = {
        "synthesis.b4.conv0": first,
        "synthesis.b4.conv1": f"{s}/4x4/Conv",
        "synthesis.b{r}.conv0": s + "/{r}x{r}/Conv0_up",
        "synthesis.b{r}.conv1": s + "/{r}x{r}/Conv1",
    }
    weights = [
        Row("synthesis.b4.conv0.const", f"{first}/const", UNBATCH),
        Row("synthesis.b4.conv0.weight", f"{first}/weight", TRANSPOSE),
        Row("synthesis.b4.conv1.weight", f"{s}/4x4/Conv/weight", HWIO),
        Row("synthesis.b{r}.conv1.weight", s + "/{r}x{r}/Conv1/weight", HWIO),
        *(
            Row(
                f"synthesis.b{r}.conv0.weight",
                f"{s}/{r}x{r}/Conv0_up/weight",
                HWIO_FLIPPED if r >= fused_from else HWIO,
            )
            for r in resolutions(config.img_resolution)[1:]
        ),
        Row("synthesis.b{r}.torgb.weight", s + "/ToRGB_lod{lod}/weight", HWIO),
        Row("synthesis.b{r}.torgb.bias", s + "/ToRGB_lod{lod}/bias"),
    ]
    leaves = {
        "bias": ("bias", SAME),
        "noise_strength": ("Noise/weight", SAME),
        "affine.weight": ("StyleMod/weight", TRANSPOSE),
        "affine.bias": ("StyleMod/bias", SAME),
    }
    rows = [
        Row("mapping.w_avg", "dlatent_avg"),
        Row("mapping.embed.weight", f"{m}/LabelConcat/weight", TRANSPOSE),
        Row("mapping.fc{i}.weight", m + "/Dense{i}/weight", TRANSPOSE),
        Row("mapping.fc{i}.bias", m + "/Dense{i}/bias"),
        Row("synthesis.b{r}.conv0.noise_const", s + "/noise{even}", NOISE),
        Row("synthesis.b{r}.conv1.noise_const", s + "/noise{odd}", NOISE),
        *weights,
        *product(scopes, leaves),
    ]
    return Table(
        rows,
        kept_lod(config.lod, "lod", f"{s}/lod"),
        lambda r, i: {
            "lod": levels - log2_resolution(r),
            "even": 2 * log2_resolution(r) - 4,
            "odd": 2 * log2_resolution(r) - 3,
        },
    )


def discriminator_table(network: ForeignNetwork, config: stylegan1.DiscriminatorConfig) -> Table:
    """Return the table of a `D_basic` network."""
    levels = log2_resolution(config.img_resolution)
    scopes = {
        "b{r}.fromrgb": "FromRGB_lod{lod}",
        "b4.conv": "4x4/Conv",
        "b{r}.conv0": "{r}x{r}/Conv0",
        "b{r}.conv1": "{r}x{r}/Conv1_down",
    }
    rows = [
        *product(scopes, {"weight": ("weight", HWIO), "bias": ("bias", SAME)}),
        *product(
            {"b4.fc": "4x4/Dense0", "b4.out": "4x4/Dense1"},
            {"weight": ("weight", TRANSPOSE), "bias": ("bias", SAME)},
        ),
    ]
    return Table(rows, kept_lod(config.lod, "lod"), lambda r, i: {"lod": levels - log2_resolution(r)})
