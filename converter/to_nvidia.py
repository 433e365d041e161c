"""Writer of official TensorFlow pickles that NVIDIA's PyTorch tools open: (G, D, Gs) as data, without source text.

The loader of those tools knows ADA's networks and StyleGAN2's configs E and F, state version 4 and later, and refuses
keywords that it does not know (spec TF.md 6, end). So all it needs is spelled out, and nothing else.
"""

from __future__ import annotations

import mmap
from typing import IO, Any

import torch

from converter.errors import ConvertError, within
from converter.fits import channel_base, refuse_others, styles_around_0
from converter.formats import Options
from converter.pages import export_network, import_network, page
from converter.pickles import read_pickle
from converter.source import Header, Network
from converter.tf_writer import dump_networks, network_header, official_network
from stylegan_torch import checkpoint, stylegan2
from stylegan_torch.checkpoint import Checkpoint
from stylegan_torch.networks import build

_NAMES = {"G": "G", "D": "D", "G_ema": "Gs"}
"""Our roles in the order of the file, and what they are called there."""
_PARTS = {"synthesis": "G_synthesis", "mapping": "G_mapping"}


def to_nvidia(checkpoint: Checkpoint, fresh_d: bool = False) -> tuple[list[Network], list[str]]:
    """Return the networks of a file, and notes on what is not as it was.

    Networks that came from such a file get their tensors back bit for bit.

    Args:
        checkpoint: the networks.
        fresh_d: make an untrained discriminator where there is none.

    Raises:
        ConvertError: saying why the form cannot hold a network, or which one is missing.
    """
    found, notes = dict(checkpoint.networks), []
    records = dict(checkpoint.provenance.get("networks", {}))
    if "G_ema" not in found:
        raise ConvertError("format nvidia needs network G_ema")
    if "D" not in found and not fresh_d:
        raise ConvertError("has no D, which format nvidia needs; --fresh-d makes an untrained one")
    if "D" not in found:
        found["D"], records["D"] = _fresh_discriminator(found["G_ema"].config), {}
        notes.append("D is untrained: there was none")
    if "G" not in found:
        found["G"], records["G"] = found["G_ema"], records.get("G_ema", {})
        notes.append("G is a copy of G_ema: there was none")
    return [_written(role, found[role], records.get(role, {}), notes) for role in _NAMES], notes


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> list[str]:
    """Write a file, read it back and compare; return notes on what is not as it was.

    Raises:
        ConvertError: saying why the form cannot hold a network, or if what was written reads back otherwise.
    """
    networks, notes = to_nvidia(checkpoint, options.fresh_d)
    dump_networks(file, networks)
    file.flush()
    again, _ = read_pickle(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)))
    for network in networks:
        import_network(again[network.role])
        tensors = again[network.role].tensors
        if tensors.keys() != network.tensors.keys() or not all(
            torch.equal(value, network.tensors[name]) for name, value in tensors.items()
        ):
            raise ConvertError("what was written reads back otherwise; is the disk sound?")
    return notes


def _written(role: str, network: checkpoint.Network, record: dict[str, Any], notes: list[str]) -> Network:
    ours = styles_around_0(role, network, notes)
    config: Any = ours.config
    is_generator = isinstance(config, stylegan2.GeneratorConfig)
    with within(f"network {role} has no place in format nvidia"):
        if not is_generator and not isinstance(config, stylegan2.DiscriminatorConfig):
            raise ConvertError("it is no StyleGAN2")
        keywords = _generator_keywords(config) if is_generator else _discriminator_keywords(config)
        function, parts = ("G_main", _PARTS) if is_generator else ("D_main", {})
        header = network_header(_NAMES[role], function, keywords, parts.items())
        refuse_others(config, _config(role, header, ours))
    if record.get("form") == "tf":
        own = export_network(role, network, record)
        return Network(role, "tf", _as_it_was(header, own.header), own.tensors)
    return official_network(Network(role, "tf", header, {}), ours.state_dict)


def _config(role: str, header: Header, network: checkpoint.Network) -> Any:
    """Return the config that is read from a header; averaging before the dense layer shows in its tensor alone."""
    dense = {"4x4/Dense0/weight": network.state_dict["b4.fc.weight"].t()} if role == "D" else {}
    template = Network(role, "tf", header, dense)
    return page(template).config(template)


def _as_it_was(header: Header, own: Header) -> Header:
    """Return a header with the names that a network of a TensorFlow file had, and its variables in their order."""
    parts = {
        key: {**part, "name": own["components"][key]["name"], "variables": own["components"][key]["variables"]}
        for key, part in header["components"].items()
    }
    return {**header, "variables": own["variables"], "components": parts}


def _fresh_discriminator(G: Any) -> checkpoint.Network:
    """Return an untrained discriminator like the one a generator would be trained with."""
    if not isinstance(G, stylegan2.GeneratorConfig):
        raise ConvertError("network G_ema has no place in format nvidia: it is no StyleGAN2")
    width = G.channels[0]
    labels = stylegan2.MappingConfig(0, G.c_dim, width, 0, width, width, lr_multiplier=0.1) if G.c_dim else None
    config = stylegan2.DiscriminatorConfig(
        img_resolution=G.img_resolution,
        img_channels=G.img_channels,
        channels=G.channels,
        fc_dim=width,
        c_dim=G.c_dim,
        resample_filter=G.resample_filter,
        conv_clamp=G.conv_clamp,
        num_fp16_res=G.num_fp16_res,
        conditioning="project" if labels else "none",
        mapping=labels,
        num_outputs=width if labels else 1,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return checkpoint.Network(config, build(config).state_dict())


def _keywords(config: Any) -> dict[str, Any]:
    return {
        "num_channels": config.img_channels,
        "resolution": config.img_resolution,
        "label_size": config.c_dim,
        "fmap_base": channel_base(config.channels, config.img_resolution, step=2) // 2,
        "fmap_max": max(config.channels),
        "architecture": config.architecture,
        "nonlinearity": config.activation,
        "resample_kernel": [int(tap) if tap.is_integer() else tap for tap in config.resample_filter],
        "num_fp16_res": config.num_fp16_res,
        "conv_clamp": config.conv_clamp,
    }


def _generator_keywords(config: stylegan2.GeneratorConfig) -> dict[str, Any]:
    mapping = config.mapping
    return _keywords(config) | {
        "latent_size": mapping.z_dim,
        "dlatent_size": mapping.w_dim,
        "mapping_layers": mapping.num_layers,
        "mapping_fmaps": mapping.layer_dim,
        "label_fmaps": mapping.embed_dim if mapping.c_dim else None,
        "mapping_nonlinearity": mapping.activation,
        "mapping_lrmul": mapping.lr_multiplier,
        "use_noise": config.use_noise,
        "truncation_psi": config.truncation_psi,
        "truncation_cutoff": config.truncation_cutoff,
    }


def _discriminator_keywords(config: stylegan2.DiscriminatorConfig) -> dict[str, Any]:
    mapping = config.mapping
    return _keywords(config) | {
        "mbstd_group_size": config.mbstd_group_size,
        "mbstd_num_features": config.mbstd_num_features,
        "mapping_layers": mapping.num_layers if mapping else 0,
        "mapping_fmaps": mapping.w_dim if mapping else None,
        "mapping_lrmul": mapping.lr_multiplier if mapping else 0.1,
    }
