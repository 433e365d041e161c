"""mmgeneration's StyleGAN2: rosinality's under other names (docs/spec/COMMUNITY.md 7.1)."""

from __future__ import annotations

from converter.foreign import ForeignNetwork
from converter.forms import completion
from converter.forms.mmgen.channels import MEAN_SAMPLES, in_rgb
from converter.forms.rosinality import stylegan2 as rosinality
from converter.forms.state_dict import renaming
from converter.table import Table
from stylegan_torch.networks import stylegan2

_generator_name = renaming(
    (r"^style\.(.+)\.weight$", r"style_mapping.\1.linear.weight_orig"),
    (r"^style\.", "style_mapping."),
    (r"^input\.", "constant_input."),
    (r"\.modulation\.weight$", ".style_modulation.linear.weight_orig"),
    (r"\.modulation\.", ".style_modulation."),
    (r"\.noise\.", ".noise_injector."),
    (r"\.conv\.weight$", ".conv.weight_orig"),
    (r"noises\\?\.noise_", "injected_noise_"),
)
_discriminator_name = renaming(
    (r"^(final_linear\..+)\.weight$", r"\1.linear.weight_orig"), (r"\.weight$", ".conv.weight_orig")
)


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what files lack: the average w."""
    config = generator_config(network)
    return completion.completed(network, config, generator_table(network, config), samples=MEAN_SAMPLES)


def generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `StyleGANv2Generator`."""
    return rosinality.generator_config(network, _generator_name)


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANv2Generator`."""
    table = rosinality.generator_table(network, config).renamed(_generator_name)
    return in_rgb(table, network, config.img_channels)


def discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `StyleGAN2Discriminator`."""
    return rosinality.discriminator_config(network, _discriminator_name)


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `StyleGAN2Discriminator`."""
    table = rosinality.discriminator_table(network, config).renamed(_discriminator_name)
    return in_rgb(table, network, config.img_channels)
