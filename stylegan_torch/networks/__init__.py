"""The networks of the papers: one file a family, and what they share."""

from stylegan_torch.networks.interface import (
    Discriminator,
    Generator,
    MappingNetwork,
    StyleGenerator,
    SynthesisNetwork,
)

__all__ = ["Discriminator", "Generator", "MappingNetwork", "StyleGenerator", "SynthesisNetwork"]
