"""mmgeneration's StyleGAN3: the official module's, with another name for the mapping (docs/spec/COMMUNITY.md 7.4)."""

from __future__ import annotations

from dataclasses import replace

from converter.foreign import ForeignNetwork
from converter.forms.mmgen.header import header_of
from converter.forms.pytorch import STYLEGAN3_STATE, state3
from converter.table import SAME, Row, Table, flip
from stylegan_torch.networks import stylegan3


def generator_config(network: ForeignNetwork) -> stylegan3.GeneratorConfig:
    """Return the config of a `StyleGANv3Generator`."""
    tensors = {
        "mapping." + name.removeprefix("style_mapping.") if name.startswith("style_mapping.") else name: value
        for name, value in network.tensors.items()
    }
    header = {**network.header, "build_func_name": "StyleGAN3"}
    return state3.generator_config(replace(network, form=STYLEGAN3_STATE.id, header=header, tensors=tensors))


def generator_table(network: ForeignNetwork, config: stylegan3.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANv3Generator`, whose last layer has the channels of pictures."""
    last = f"synthesis.{stylegan3.layer_specs(config)[-1].name}"
    turned = header_of(network)["assumed"]["channel_order"] == "bgr" and config.img_channels == 3
    order = flip(0) if turned else SAME
    return Table(
        [
            Row("mapping.{name}", "style_mapping.{name}"),
            *(Row(f"{last}.{part}", f"{last}.{part}", order) for part in ("weight", "bias")),
            Row("{name}", "{name}"),
        ]
    )
