"""Networks of the TensorFlow releases: every option of every build function that changes what they compute.

A case is (build function, release, keywords), what `official.build` takes; all are small.
"""

from __future__ import annotations

from typing import Any

Case = tuple[str, str | None, dict[str, Any]]

SMALL: dict[str, Any] = {"num_channels": 3, "resolution": 16, "fmap_base": 64, "fmap_max": 12}
LATENT: dict[str, Any] = {"latent_size": 10, "dlatent_size": 14}
SG1 = {**SMALL, **LATENT, "mapping_fmaps": 9, "mapping_layers": 3}
SG2 = {**SMALL, **LATENT, "mapping_fmaps": 9, "mapping_layers": 3}
ADA = {**SMALL, **LATENT, "mapping_layers": 2}
PG = {**SMALL, "latent_size": 10}

ACTIVATIONS: list[dict[str, Any]] = [
    *({"nonlinearity": name, "mapping_nonlinearity": name} for name in ("relu", "tanh", "swish", "elu")),
    *({"nonlinearity": name} for name in ("linear", "sigmoid", "selu", "softplus")),
]
REVISED: list[dict[str, Any]] = [
    {"synthesis_func": "G_synthesis_stylegan_revised", **extra}
    for extra in (
        {},
        {"lod": 0.4},
        {"lod": 1.6},
        {"lod": 2.0},
        {"lod": 1.0, "label_size": 2, "resample_kernel": [1, 2, 1]},
        {"structure": "fixed", "lod": 1.2},
        {"resolution": 4},
    )
]

STYLEGAN2: list[dict[str, Any]] = [
    {},
    {"label_size": 3},
    {"architecture": "orig"},
    {"architecture": "resnet"},
    {"resample_kernel": [1, 2, 4]},
    {"resample_kernel": [1, 2], "architecture": "resnet"},
    {"resample_kernel": None},
    {"resample_kernel": [1, 4, 6, 4, 1, 2], "architecture": "resnet"},
    {"resample_kernel": [1, 2, 3, 4, 5, 4, 3, 2, 1]},
    *ACTIVATIONS,
    {"mapping_layers": 0, "dlatent_size": 10},
    {"mapping_layers": 1, "normalize_latents": False},
    {"fmap_min": 7, "fmap_max": 5, "fmap_decay": 1.3},
    {"resolution": 4},
    {"truncation_psi": None},
    *REVISED,
]

GENERATORS: list[Case] = [
    *(
        ("G_paper", release, {**PG, **extra})
        for release in ("PG", "PG-in-SG1")
        for extra in (
            {},
            {"fused_scale": False},
            {"label_size": 3},
            {"use_wscale": False},
            {"use_pixelnorm": False, "use_leakyrelu": False},
            {"pixelnorm_epsilon": 0.1, "normalize_latents": False},
            {"lod": 1.3},
            {"lod": 2.0},
            {"lod": 1.0, "num_channels": 1},
            {"structure": "fixed", "lod": 1.5},
            {"latent_size": None, "fmap_base": 20, "fmap_decay": 0.7},
        )
    ),
    *(
        ("G_style", None, {**SG1, **extra})
        for extra in (
            {},
            {"label_size": 3},
            {"fused_scale": True},
            {"fused_scale": False, "blur_filter": None},
            {"blur_filter": [1, 2]},
            {"blur_filter": [1, 3, 5, 2]},
            {"use_instance_norm": False},
            {"use_pixel_norm": True, "use_instance_norm": False, "nonlinearity": "relu"},
            {"use_styles": False, "const_input_layer": False},
            {"const_input_layer": False},
            {"use_noise": False},
            {"use_wscale": False, "mapping_lrmul": 1.0},
            {"mapping_layers": 0, "dlatent_size": 10},
            {"mapping_nonlinearity": "relu", "normalize_latents": False},
            {"lod": 0.6},
            {"lod": 1.7},
            {"lod": 2.0},
            {"structure": "fixed", "lod": 1.5},
            {"num_channels": 1, "fmap_decay": 0.5},
            {"resolution": 4},
            {"resolution": 8, "truncation_psi": 0.3, "truncation_cutoff": 3},
        )
    ),
    *(("G_main", None, {**SG2, **extra}) for extra in STYLEGAN2),
    *(
        ("G_main", "ADA", {**ADA, **extra})
        for extra in (
            {},
            {"label_size": 3},
            {"label_size": 3, "label_fmaps": 6, "mapping_fmaps": 7, "mapping_layers": 3},
            {"label_size": 3, "normalize_latents": False},
            {"conv_clamp": 0.5, "num_fp16_res": 2},
            {"conv_clamp": 0.5, "architecture": "resnet"},
            {"architecture": "orig", "fmap_const": 5},
            {"use_noise": False},
            {"resample_kernel": [1, 2, 5, 3], "architecture": "resnet"},
        )
    ),
]

DISCRIMINATORS: list[Case] = [
    *(
        ("D_paper", release, {**SMALL, **extra})
        for release in ("PG", "PG-in-SG1")
        for extra in (
            {},
            {"fused_scale": False},
            {"label_size": 3},
            {"use_wscale": False},
            {"mbstd_group_size": 1},
            {"mbstd_group_size": 2, "fused_scale": False, "lod": 0.7},
            {"lod": 1.3},
            {"lod": 2.0},
            {"structure": "fixed", "lod": 1.5},
        )
    ),
    *(
        ("D_basic", None, {**SMALL, **extra})
        for extra in (
            {},
            {"label_size": 3},
            {"fused_scale": True},
            {"fused_scale": False, "blur_filter": None},
            {"blur_filter": [1, 3, 5, 2]},
            {"nonlinearity": "relu", "use_wscale": False},
            {"mbstd_group_size": 2, "mbstd_num_features": 3},
            {"mbstd_group_size": 0},
            {"lod": 0.7},
            {"lod": 2.0},
            {"structure": "fixed"},
            {"resolution": 4},
        )
    ),
    *(
        ("D_stylegan", None, {**SMALL, **extra})
        for extra in (
            {},
            {"label_size": 3},
            {"lod": 0.7},
            {"lod": 2.0},
            {"structure": "fixed"},
            {"resolution": 4},
        )
    ),
    *(
        ("D_stylegan2", None, {**SMALL, **extra})
        for extra in (
            {},
            {"label_size": 3},
            {"architecture": "skip"},
            {"architecture": "orig"},
            {"resample_kernel": [1, 2, 4]},
            {"resample_kernel": [1, 2, 5, 3, 1], "architecture": "skip"},
            {"resample_kernel": None},
            {"nonlinearity": "swish"},
            {"mbstd_group_size": 2, "mbstd_num_features": 2},
            {"mbstd_group_size": 1},
            {"resolution": 4, "architecture": "skip"},
        )
    ),
    *(
        ("D_main", None, {**SMALL, **extra})
        for extra in (
            {},
            {"mbstd_group_size": 2},
            {"mbstd_num_features": 0},
            {"label_size": 3},
            {"label_size": 3, "mapping_layers": 2, "mapping_fmaps": 6},
            {"conv_clamp": 0.4, "num_fp16_res": 2},
            {"conv_clamp": 0.4, "architecture": "skip"},
            {"architecture": "orig", "mbstd_group_size": 32},
            {"score_max": 5},
            {"score_max": 5, "score_size": 2},
            {"use_pagan": True, "pagan_num": 4},
            {"adaptive_dropout": 1, "freeze_layers": 3},
            {"use_spectral_norm": True},
            {"use_spectral_norm": True, "architecture": "skip"},
        )
    ),
]


def case_id(case: Case) -> str:
    function, release, options = case
    shared: dict[str, Any] = {**SMALL, **LATENT}
    own = [f"{key}={value}" for key, value in options.items() if shared.get(key, "") != value]
    return " ".join([function, release or "", *own])
