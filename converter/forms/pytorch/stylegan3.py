"""StyleGAN3: constructor arguments and tables (docs/spec/TORCH.md 5, 7). Ours have the release's names and layout."""

from __future__ import annotations

from converter.foreign import ForeignNetwork, Keywords
from converter.forms.pytorch.stylegan2 import SIZE, arguments_of, mapping_config
from converter.table import Row, Table
from stylegan_torch.networks import stylegan3

SYNTHESIS: dict[str, object] = {
    "channel_base": 32768,
    "channel_max": 512,
    "num_layers": 14,
    "num_critical": 2,
    "first_cutoff": 2,
    "first_stopband": 2**2.1,
    "last_stopband_rel": 2**0.3,
    "margin_size": 10,
    "output_scale": 0.25,
    "num_fp16_res": 4,
    "conv_kernel": 3,
    "filter_size": 6,
    "lrelu_upsampling": 2,
    "use_radial_filters": False,
    "conv_clamp": 256,
    "magnitude_ema_beta": 0.999,
}


def generator_config(network: ForeignNetwork) -> stylegan3.GeneratorConfig:
    """Return the config of a `Generator`."""
    arguments = arguments_of(network)
    top = Keywords("Generator", {**SIZE, "z_dim": 512, "w_dim": 512}, arguments)
    kw = Keywords("SynthesisNetwork", SYNTHESIS, arguments)
    return stylegan3.GeneratorConfig(
        mapping=mapping_config(
            arguments,
            z_dim=top.integer("z_dim", 0),
            c_dim=top.integer("c_dim"),
            w_dim=top.integer("w_dim", 1),
            num_layers=2,
            w_avg_beta=0.998,
        ),
        img_resolution=top.resolution("img_resolution"),
        img_channels=top.integer("img_channels", 1),
        channel_base=kw.integer("channel_base", 1, 1 << 30),
        channel_max=kw.integer("channel_max", 1),
        num_layers=kw.integer("num_layers", 1, 256),
        num_critical=kw.integer("num_critical", 0, 256),
        first_cutoff=kw.number("first_cutoff"),
        first_stopband=kw.number("first_stopband"),
        last_stopband_rel=kw.number("last_stopband_rel"),
        margin_size=kw.integer("margin_size"),
        output_scale=kw.number("output_scale"),
        conv_kernel=kw.choice("conv_kernel", 1, 3, 5, 7),
        filter_size=kw.integer("filter_size", 1, 64),
        lrelu_upsampling=kw.integer("lrelu_upsampling", 1, 64),
        use_radial_filters=kw.flag("use_radial_filters"),
        conv_clamp=kw.optional_number("conv_clamp"),
        num_fp16_res=kw.integer("num_fp16_res"),
        magnitude_ema_beta=kw.number("magnitude_ema_beta"),
        aspect=0.5 if arguments.get("square") is False else 1.0,
    )


def generator_table(network: ForeignNetwork, config: stylegan3.GeneratorConfig) -> Table:
    """Return the table of a `Generator`: every tensor, the filters too, is stored as we have it."""
    return Table([Row("{name}", "{name}")])
