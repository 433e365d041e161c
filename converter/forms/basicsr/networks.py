"""BasicSR's StyleGAN2: rosinality's under other names, without the filters (docs/spec/COMMUNITY.md 6)."""

from __future__ import annotations

from converter.contents import Found
from converter.foreign import ForeignNetwork
from converter.forms import completion
from converter.forms.basicsr import FORM
from converter.forms.rosinality import stylegan2 as rosinality
from converter.forms.state_dict import renaming
from converter.table import Table
from stylegan_torch.networks import stylegan2

generator_name = renaming(
    (r"^style\.", "style_mlp."),
    (r"^input\.input$", "constant_input.weight"),
    (r"^conv(1|s)\.", r"style_conv\1."),
    (r"\.conv\.", ".modulated_conv."),
    (r"\.noise\.weight$", ".weight"),
    ("noise_", "noise"),
)
discriminator_name = renaming((r"^convs\.", "conv_body."))


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file, a generator with the average w that stands beside it."""
    return rosinality.read(found, FORM.id)


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    samples = rosinality.MEAN_SAMPLES
    return completion.completion_notes(networks, average="latent_avg", noise="noises.", samples=samples)


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what training files lack: the average w."""
    config = generator_config(network)
    table = generator_table(network, config)
    return completion.completed(network, config, table, samples=rosinality.MEAN_SAMPLES)


def generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `StyleGAN2Generator`."""
    return rosinality.generator_config(network, generator_name)


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `StyleGAN2Generator`."""
    return rosinality.generator_table(network, config).renamed(generator_name)


def discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `StyleGAN2Discriminator`."""
    return rosinality.discriminator_config(network, discriminator_name)


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `StyleGAN2Discriminator`."""
    return rosinality.discriminator_table(network, config).renamed(discriminator_name)
