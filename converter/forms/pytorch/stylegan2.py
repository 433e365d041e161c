"""StyleGAN2-ADA, PyTorch release (and the StyleGAN2 networks of the StyleGAN3 repository): constructor arguments and
tables (docs/spec/TORCH.md 5, 6). Our tensors have that release's names and layout, so the table is short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork, Keywords
from converter.forms.pytorch.header import ClassName, Repository, header_of
from converter.forms.tensorflow.stylegan2 import base_size
from converter.table import Kept, Row, Table
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.layers import ACTIVATIONS, make_filter, resolutions
from stylegan_torch.networks.stylegan2 import USUAL_TAPS

SIZE: dict[str, object] = {"c_dim": 0, "img_resolution": 1024, "img_channels": 3}
_CHANNELS: dict[str, object] = {"channel_base": 32768, "channel_max": 512}
_PRECISION: dict[Repository, dict[str, object]] = {
    "stylegan2-ada-pytorch": {"num_fp16_res": 0, "conv_clamp": None},
    "stylegan3": {"num_fp16_res": 4, "conv_clamp": 256},
}
_W_AVG_BETA: dict[Repository, float] = {"stylegan2-ada-pytorch": 0.995, "stylegan3": 0.998}
_LAYERS: dict[str, object] = {"activation": "lrelu", "resample_filter": [1, 3, 3, 1]}
_MAPPING: dict[str, object] = {
    "embed_features": None,
    "layer_features": None,
    "activation": "lrelu",
    "lr_multiplier": 0.01,
}
_EPILOGUE: dict[str, object] = {"mbstd_group_size": 4, "mbstd_num_channels": 1, "activation": "lrelu"}
FILTERS = r"(synthesis\.)?b[0-9]+\.((conv|conv0|conv1|skip|fromrgb)\.)?resample_filter"
_POSITIONAL: dict[ClassName, str] = {
    "Generator": "z_dim c_dim w_dim img_resolution img_channels mapping_kwargs synthesis_kwargs",
    "Discriminator": "c_dim img_resolution img_channels",
}


def arguments_of(network: ForeignNetwork) -> dict[str, object]:
    """Return the arguments that a network's class was given.

    Raises:
        ConvertError: if there are more positional ones than the class takes.
    """
    header = header_of(network)
    names = _POSITIONAL[header["class_name"]].split()
    if len(header["init_args"]) > len(names):
        raise ConvertError(f"{header['class_name']} was made with {len(header['init_args'])} positional arguments")
    return dict(zip(names, header["init_args"], strict=False)) | header["init_kwargs"]


def _nested(arguments: Mapping[str, object], key: str) -> dict[str, object]:
    value = arguments.get(key) or {}
    if not isinstance(value, dict):
        raise ConvertError(f"constructor argument {key} is no dict")
    return value


def mapping_config(
    arguments: Mapping[str, object],
    *,
    z_dim: int,
    c_dim: int,
    w_dim: int,
    num_layers: int = 8,
    w_avg_beta: float = 0.995,
) -> stylegan2.MappingConfig:
    """Return the config of a mapping network; `num_layers` and `w_avg_beta` are what its class assumes."""
    defaults = {**_MAPPING, "num_layers": num_layers, "w_avg_beta": w_avg_beta}
    kw = Keywords("MappingNetwork", defaults, _nested(arguments, "mapping_kwargs"))
    return stylegan2.MappingConfig(
        z_dim=z_dim,
        c_dim=c_dim,
        w_dim=w_dim,
        num_layers=kw.integer("num_layers", 0, 256),
        layer_dim=w_dim if kw.get("layer_features") is None else kw.integer("layer_features", 1),
        embed_dim=w_dim if kw.get("embed_features") is None else kw.integer("embed_features", 1),
        lr_multiplier=kw.number("lr_multiplier"),
        activation=kw.choice("activation", *ACTIVATIONS),
        w_avg_beta=kw.optional_number("w_avg_beta"),
    )


def _channels(kw: Keywords, resolution: int) -> tuple[int, ...]:
    base, high = kw.integer("channel_base", 1, 1 << 30), kw.integer("channel_max", 1)
    return tuple(min(base // side, high) for side in resolutions(resolution))


def generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `Generator`."""
    arguments = arguments_of(network)
    top = Keywords("Generator", {**SIZE, "z_dim": 512, "w_dim": 512}, arguments)
    defaults = {
        **_CHANNELS,
        **_LAYERS,
        **_PRECISION[header_of(network)["repository"]],
        "architecture": "skip",
        "use_noise": True,
    }
    kw = Keywords("SynthesisNetwork", defaults, arguments, _nested(arguments, "synthesis_kwargs"))
    resolution = top.resolution("img_resolution")
    channels = _channels(kw, resolution)
    return stylegan2.GeneratorConfig(
        mapping=mapping_config(
            arguments,
            z_dim=top.integer("z_dim", 0),
            c_dim=top.integer("c_dim"),
            w_dim=top.integer("w_dim", 1),
            w_avg_beta=_W_AVG_BETA[header_of(network)["repository"]],
        ),
        img_resolution=resolution,
        img_channels=top.integer("img_channels", 1),
        channels=channels,
        const_channels=channels[0],
        architecture=kw.choice("architecture", "skip", "resnet", "orig"),
        resample_filter=kw.taps("resample_filter") or (1.0,),
        activation=kw.choice("activation", *ACTIVATIONS),
        base_size=base_size(arguments),
        use_noise=kw.flag("use_noise"),
        conv_clamp=kw.optional_number("conv_clamp"),
        num_fp16_res=kw.integer("num_fp16_res"),
    )


def discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    arguments = arguments_of(network)
    top = Keywords("Discriminator", {**SIZE, **_CHANNELS, **_PRECISION[header_of(network)["repository"]],
                                     "architecture": "resnet", "cmap_dim": None}, arguments)  # fmt: skip
    kw = Keywords("DiscriminatorBlock", _LAYERS, _nested(arguments, "block_kwargs"))
    end = Keywords("DiscriminatorEpilogue", _EPILOGUE, _nested(arguments, "epilogue_kwargs"))
    resolution, c_dim = top.resolution("img_resolution"), top.integer("c_dim")
    channels = _channels(top, resolution)
    size = base_size(arguments)
    # StyleGAN-Human's discriminators may not say that they are half as wide as high.
    dense = network.tensors.get("b4.fc.weight")
    if size == (4, 4) and dense is not None and dense.ndim == 2 and dense.shape[1] == channels[0] * 8:
        size = (4, 2)
    cmap_dim = channels[0] if top.get("cmap_dim") is None else top.integer("cmap_dim")
    cmap_dim = cmap_dim if c_dim else 0
    return stylegan2.DiscriminatorConfig(
        img_resolution=resolution,
        img_channels=top.integer("img_channels", 1),
        channels=channels,
        fc_dim=channels[0],
        c_dim=c_dim,
        architecture=top.choice("architecture", "skip", "resnet", "orig"),
        resample_filter=kw.taps("resample_filter") or (1.0,),
        activation=kw.choice("activation", *ACTIVATIONS),
        epilogue_activation=end.choice("activation", *ACTIVATIONS),
        conv_clamp=top.optional_number("conv_clamp"),
        num_fp16_res=top.integer("num_fp16_res"),
        mbstd_group_size=end.optional_integer("mbstd_group_size", 1),
        mbstd_num_features=end.integer("mbstd_num_channels"),
        conditioning="project" if cmap_dim else "none",
        mapping=mapping_config(arguments, z_dim=0, c_dim=c_dim, w_dim=cmap_dim) if cmap_dim else None,
        num_outputs=cmap_dim or 1,
        base_size=size,
    )


def _table(resample_filter: tuple[float, ...], used: str) -> Table:
    # Every layer of the release stores a filter, used or not; ours come from the config. The stored ones are carried
    # along, after a check that those that matter (`used`, a regular expression) are the config's.
    expected = partial(make_filter, resample_filter)

    def default(name: str) -> Tensor:
        # The first block has the network's too, and no use for it.
        return expected() if _matters(rf"{used}|synthesis\.b4\.resample_filter", name) else make_filter(USUAL_TAPS)

    def check(name: str, value: Tensor) -> None:
        if _matters(used, name) and (
            value.shape != expected().shape or not torch.allclose(value, expected(), atol=1e-6)
        ):
            raise ConvertError(
                f"variable {name} is not the filter {list(resample_filter)} that the network was made with"
            )

    return Table([Row("{name}", "{name}")], [Kept(FILTERS, default, check)])


def _matters(used: str, name: str) -> bool:
    return re.fullmatch(used, name) is not None


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    used = r"synthesis\.b(?!4\.)\d+\.(conv0\.|skip\.)?resample_filter"
    return _table(config.resample_filter, used)


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    used = r"b(?!4\.)\d+\.(conv1\.|skip\.)?resample_filter"
    return _table(config.resample_filter, used)
