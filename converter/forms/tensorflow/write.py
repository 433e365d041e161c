"""Writer of official TensorFlow pickles that NVIDIA's PyTorch tools open: (G, D, Gs) as data, without source text.

The loader of those tools knows ADA's networks and StyleGAN2's configs E and F, state version 4 and later, and refuses
keywords that it does not know (docs/spec/TF.md 6.1). So all it needs is spelled out, and nothing else.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO

import torch

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.form import Options, Written
from converter.forms.fit import channel_base, note_rounded, placing, record_of, refuse_others
from converter.forms.networks import read_pickle
from converter.forms.tensorflow import TF
from converter.forms.tensorflow.header import TFHeader, header_of
from converter.forms.tensorflow.pickler import dump_networks, network_header, official_network
from converter.translate import export_network, import_network, known_kind
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import ROLES, Checkpoint, same_bits
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.registry import Config, build, is_constant, tensors_of

_NAMES = {"G": "G", "D": "D", "G_ema": "Gs"}
"""Our roles in the order of the file, and what they are called there."""
_FORMAT = "nvidia"
_StyleGAN2 = stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig
_PARTS = {"synthesis": "G_synthesis", "mapping": "G_mapping"}


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write a file, read it back and compare.

    Raises:
        ConvertError: saying why the form cannot hold a network, or if what was written reads back otherwise.
    """
    checkpoint, notes = _completed(checkpoint, options.fresh_d)
    networks = to_nvidia(checkpoint, notes)
    dump_networks(file, networks)
    file.flush()
    again = read_pickle(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))).networks
    for network in networks:
        import_network(again[network.role])
        tensors = again[network.role].tensors
        if tensors.keys() != network.tensors.keys() or not all(
            same_bits(value, network.tensors[name]) for name, value in tensors.items()
        ):
            raise ConvertError("what was written reads back otherwise; is the disk sound?")
    return Written(checkpoint, notes)


def to_nvidia(checkpoint: Checkpoint, notes: list[str]) -> list[ForeignNetwork]:
    """Return the networks of a file; adds to the notes what is not as it was.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    written = {role: _written(role, checkpoint.networks[role], record_of(checkpoint, role), notes) for role in ROLES}
    return [written[role] for role in _NAMES]


def _completed(checkpoint: Checkpoint, fresh_d: bool) -> tuple[Checkpoint, list[str]]:
    """Return all three networks, and notes on those that were not there."""
    networks, records = dict(checkpoint.networks), {role: record_of(checkpoint, role) for role in ROLES}
    notes = []
    if "G_ema" not in networks:
        raise ConvertError("format nvidia needs network G_ema")
    generator = _fitting("G_ema", networks["G_ema"].config)
    if "D" not in networks:
        if not fresh_d:
            raise ConvertError("has no D, which format nvidia needs; --fresh-d makes an untrained one")
        networks["D"], records["D"] = _fresh_discriminator(generator), {}
        notes.append("D is untrained: there was none")
    if "G" not in networks:
        networks["G"], records["G"] = networks["G_ema"], records["G_ema"]
        notes.append("G is a copy of G_ema: there was none")
    return Checkpoint(networks, {**checkpoint.provenance, "networks": records}), notes


def _written(
    role: str, network: checkpoint.StoredNetwork, record: Mapping[str, object], notes: list[str]
) -> ForeignNetwork:
    config = _fitting(role, network.config)
    function, parts = ("D_main", {}) if role == "D" else ("G_main", _PARTS)
    header = network_header(_NAMES[role], function, _keywords_of(role, config), components=parts.items())
    own = export_network(role, network, dict(record)) if record.get("form") == TF.id else None
    notes += _left_out(role, network, own, header)
    notes += _drawn_otherwise(role, config)
    template = ForeignNetwork(role, TF.id, header, {})
    with placing(role, _FORMAT, needed=True):
        refuse_others(config, known_kind(template).config(template))
    if own is not None:
        return replace(own, header=_as_it_was(header, header_of(own)))
    written = official_network(template, network)
    note_rounded(written, known_kind(written).table(written, config), network, notes=notes)
    return written


def _left_out(
    role: str, network: checkpoint.StoredNetwork, own: ForeignNetwork | None, header: TFHeader
) -> Iterator[str]:
    """Yield what of a network is not in the file; `own` is what it was in TensorFlow's form, if it came from there."""
    if own is not None:
        keywords = sorted(set(header_of(own)["static_kwargs"]) - set(header["static_kwargs"]))
        if keywords:
            yield f"keywords of {role} that those tools don't know are left out: {', '.join(keywords)}"
    else:
        kept = [name for name in network.source if name not in network.state_dict and not is_constant(name)]
        left = [name for name in kept if not name.endswith("lod")]  # of no use to a finished network
        if left:
            yield f"{len(left)} variables of {role} that no picture depends on are left out, such as {left[0]}"


def _drawn_otherwise(role: str, config: _StyleGAN2) -> Iterator[str]:
    """Yield what those who read the file compute otherwise."""
    if isinstance(config, stylegan2.GeneratorConfig):
        if role == "G_ema" and config.official_noise == "stored" and config.use_noise:
            yield "seeds of such files are drawn with noise of their own, those of the source with the stored noise"
    elif config.architecture == "skip" and config.conv_clamp and not config.clamp_last_fromrgb:
        yield f"read as TensorFlow's, D limits what enters its last level to ±{config.conv_clamp:g} too"


def _fitting(role: str, config: Config) -> _StyleGAN2:
    """Return a config that those tools may have a class for."""
    with placing(role, _FORMAT, needed=True):
        if not isinstance(config, _StyleGAN2):
            raise ConvertError("it is no StyleGAN2")
        if config.architecture == "revised":
            raise ConvertError("it is one of configs B to D, which those tools do not open")
        return config


def _keywords_of(role: str, config: _StyleGAN2) -> dict[str, object]:
    with placing(role, _FORMAT, needed=True):
        if isinstance(config, stylegan2.GeneratorConfig):
            return _generator_keywords(config)
        return _discriminator_keywords(config)


def _as_it_was(header: TFHeader, own: TFHeader) -> TFHeader:
    """Return a header with the names that a network of a TensorFlow file had, and its variables in their order."""
    parts: dict[str, TFHeader] = {
        key: {**part, "name": own["components"][key]["name"], "variables": own["components"][key]["variables"]}
        for key, part in header["components"].items()
    }
    return {**header, "variables": own["variables"], "components": parts}


def _fresh_discriminator(G: _StyleGAN2) -> checkpoint.StoredNetwork:
    """Return an untrained discriminator like the one a generator would be trained with."""
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
        return checkpoint.StoredNetwork(config, tensors_of(build(config)))


def _common_keywords(config: _StyleGAN2) -> dict[str, object]:
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


def _generator_keywords(config: stylegan2.GeneratorConfig) -> dict[str, object]:
    mapping = config.mapping
    return _common_keywords(config) | {
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


def _discriminator_keywords(config: stylegan2.DiscriminatorConfig) -> dict[str, object]:
    mapping = config.mapping
    return _common_keywords(config) | {
        "mbstd_group_size": config.mbstd_group_size,
        "mbstd_num_features": config.mbstd_num_features,
        "mapping_layers": mapping.num_layers if mapping else 0,
        "mapping_fmaps": mapping.w_dim if mapping else None,
        "mapping_lrmul": mapping.lr_multiplier if mapping else 0.1,
    }
