"""Networks of StyleGAN2-ADA's PyTorch release: every constructor argument, and a training snapshot of them.

A case is (kind, keywords), what `official_torch.persistence_network` takes; all are small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tests.tools.official_torch import Era, Module, persistence_network, write_persistence_pickle

Kind = Literal["G", "D"]
Case = tuple[Kind, dict[str, Any]]

CHANNELS: dict[str, Any] = {"channel_base": 64, "channel_max": 12}
LATENT: dict[str, Any] = {"z_dim": 10, "w_dim": 14, "img_resolution": 16}
LONG = [1, 2, 4, 7, 5, 3, 2, 1, 1]  # stored as one axis

GENERATOR_OPTIONS: list[dict[str, Any]] = [
    {},
    {"c_dim": 3},
    {"c_dim": 3, "z_dim": 0},
    {"img_channels": 1, "img_resolution": 8},
    {"img_resolution": 4},
    {"mapping_kwargs": {}},
    {"mapping_kwargs": {"num_layers": 0}, "w_dim": 10},
    {"mapping_kwargs": {"num_layers": 3, "layer_features": 7, "embed_features": 5}, "c_dim": 3},
    {"mapping_kwargs": {"num_layers": 2, "lr_multiplier": 0.1, "activation": "tanh", "w_avg_beta": 0.9}},
]
SYNTHESIS_OPTIONS: list[dict[str, Any]] = [
    *({"architecture": name, "conv_clamp": clamp} for name in ("orig", "resnet") for clamp in (None, 0.5)),
    {"architecture": "skip", "conv_clamp": 0.5},
    {"channel_base": 200, "channel_max": 7},
    {"num_fp16_res": 2, "conv_clamp": 0.5},
    {"num_fp16_res": 4, "fp16_channels_last": True},
    {"num_fp16_res": 1, "fp16_channels_last": True, "architecture": "resnet"},
    {"use_noise": False},
    *({"activation": name} for name in ("linear", "relu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")),
    {"resample_filter": [1]},
    {"resample_filter": [1, 2], "architecture": "resnet"},
    {"resample_filter": [1, 2, 5]},
    {"resample_filter": [1, 3, 5, 2], "architecture": "resnet"},
    {"resample_filter": [1, 4, 6, 4, 1, 2, 3]},
    {"resample_filter": [1, 2, 4, 7, 5, 3, 2, 1]},
    {"resample_filter": LONG, "architecture": "resnet"},
]
DISCRIMINATOR_OPTIONS: list[dict[str, Any]] = [
    {},
    {"c_dim": 3},
    {"img_channels": 1, "img_resolution": 8, "channel_base": 200},
    {"img_resolution": 4, "architecture": "skip"},
    {"architecture": "skip"},
    {"architecture": "orig"},
    *({"architecture": name, "conv_clamp": 0.4} for name in ("orig", "skip", "resnet")),
    {"num_fp16_res": 2, "conv_clamp": 0.4, "block_kwargs": {"fp16_channels_last": True}},
    {"c_dim": 3, "architecture": "orig", "cmap_dim": 5, "mapping_kwargs": {"num_layers": 2}},
    {"c_dim": 3, "mapping_kwargs": {"num_layers": 0}},
    {"c_dim": 3, "mapping_kwargs": {"num_layers": 0, "embed_features": 9}, "cmap_dim": 9},
    {"c_dim": 2, "mapping_kwargs": {"num_layers": 3, "layer_features": 6, "embed_features": 5, "lr_multiplier": 0.1}},
    {"c_dim": 2, "mapping_kwargs": {"num_layers": 1, "activation": "relu"}},
    *({"block_kwargs": {"freeze_layers": count}} for count in (1, 4, 13)),
    {"block_kwargs": {"freeze_layers": 3}, "architecture": "skip", "c_dim": 2},
    {"block_kwargs": {"resample_filter": [1, 3, 5, 2]}},
    {"block_kwargs": {"resample_filter": [1, 2, 5]}, "architecture": "skip"},
    {"block_kwargs": {"resample_filter": [1]}, "architecture": "skip"},
    {"block_kwargs": {"resample_filter": LONG}},
    {"block_kwargs": {"resample_filter": LONG[:-1]}, "architecture": "skip"},
    {"block_kwargs": {"activation": "swish"}, "epilogue_kwargs": {"activation": "swish"}},
    {"block_kwargs": {"activation": "relu"}, "architecture": "skip"},
    {"epilogue_kwargs": {"activation": "tanh"}, "architecture": "skip"},
    {"epilogue_kwargs": {"mbstd_group_size": 1}},
    {"epilogue_kwargs": {"mbstd_group_size": 2, "mbstd_num_channels": 2}},
    {"epilogue_kwargs": {"mbstd_group_size": None}},
    {"epilogue_kwargs": {"mbstd_num_channels": 0}},
]

_G: dict[str, Any] = {**LATENT, "mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": CHANNELS}
GENERATORS: list[Case] = [
    *(("G", {**_G, **options}) for options in GENERATOR_OPTIONS),
    *(("G", {**_G, "synthesis_kwargs": {**CHANNELS, **options}}) for options in SYNTHESIS_OPTIONS),
]
DISCRIMINATORS: list[Case] = [("D", {"img_resolution": 16, **CHANNELS, **options}) for options in DISCRIMINATOR_OPTIONS]
CASES = [*GENERATORS, *DISCRIMINATORS]


def case_id(case: Case) -> str:
    kind, options = case
    usual: dict[str, Any] = {**LATENT, **CHANNELS}
    flat = [
        (key, value)
        for name, option in options.items()
        for key, value in (option.items() if isinstance(option, dict) else [(name, option)])
    ]
    return " ".join([kind, *(f"{key}={value}" for key, value in flat if usual.get(key, "") != value)])


SMALL_G: dict[str, Any] = {**LATENT, "mapping_kwargs": {"num_layers": 1}, "synthesis_kwargs": CHANNELS}
SMALL_D: dict[str, Any] = {"img_resolution": 8, "channel_base": 16}


def write(path: Path, *networks: Module, era: Era = "today", augment_pipe: bool = False) -> Path:
    """A training snapshot with the given G_ema or D; small ones stand in for what is not given."""
    G = persistence_network("G", 8, **{**SMALL_G, "img_resolution": 4})
    G_ema = next((net for net in networks if net.class_name == "Generator"), G)
    D = next((net for net in networks if net.class_name == "Discriminator"), None)
    D = D or persistence_network("D", 9, **SMALL_D)
    write_persistence_pickle(path, G=G, D=D, G_ema=G_ema, era=era, augment_pipe=augment_pipe)
    return path
