"""Every option of every build function that changes the picture, against the independent float64 oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from official import build, write_pickle

import converter
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import progan

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

GENERATORS: list[tuple[str, str | None, dict[str, Any]]] = [
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

DISCRIMINATORS: list[tuple[str, str | None, dict[str, Any]]] = [
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


def _id(case: tuple[str, str | None, dict[str, Any]]) -> str:
    function, release, options = case
    shared: dict[str, Any] = {**SMALL, **LATENT}
    own = [f"{key}={value}" for key, value in options.items() if shared.get(key, "") != value]
    return " ".join([function, release or "", *own])


def _convert(tmp_path: Path, state: dict[str, Any]) -> Checkpoint:
    write_pickle(tmp_path / "net.pkl", state)
    return converter.load(tmp_path / "net.pkl")


def _labels(rng: np.random.RandomState, n: int, size: int) -> np.ndarray[Any, Any]:
    return np.eye(size)[rng.randint(size, size=n)] if size else np.zeros((n, 0))


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], tolerance: float = 1e-4) -> None:
    assert actual.shape == expected.shape
    if expected.size:
        assert np.abs(actual.numpy() - expected).max() <= tolerance * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("case", GENERATORS, ids=_id)
def test_generator_draws_what_the_formulas_say(case: tuple[str, str | None, dict[str, Any]], tmp_path: Path) -> None:
    function, release, options = case
    state = build(function, seed=1, release=release, **options)
    G = _convert(tmp_path, state).network("G_ema")
    rng = np.random.RandomState(2)
    z, labels = rng.randn(3, G.z_dim), _labels(rng, 3, G.c_dim)
    inputs = torch.from_numpy(z).float(), torch.from_numpy(labels).float()
    w, image = oracle.generator(state, z, labels)
    _close(G(*inputs), image)
    if function == "G_paper":
        return
    _close(G.mapping(*inputs), w)
    psi, cutoff = oracle.default_truncation(state)
    defaults: dict[str, Any] = {
        "truncation_psi": G.config.truncation_psi,
        "truncation_cutoff": G.config.truncation_cutoff,
    }
    _close(G(*inputs, **defaults), oracle.generator(state, z, labels, psi, cutoff)[1])
    _, noise = oracle.seed_inputs(state, 5)
    maps = [torch.from_numpy(noise_map).float().reshape(1, 1, *noise_map.shape[-2:]) for noise_map in noise]
    _close(G(*inputs, noise=maps), oracle.generator(state, z, labels, noise=noise)[1])


@pytest.mark.parametrize("case", DISCRIMINATORS, ids=_id)
def test_discriminator_scores_what_the_formulas_say(
    case: tuple[str, str | None, dict[str, Any]], tmp_path: Path
) -> None:
    function, release, options = case
    state = build(function, seed=1, release=release, **options)
    D = _convert(tmp_path, state).network("D")
    rng = np.random.RandomState(3)
    u = None
    for batch in (4, 2, 4):
        images = rng.randn(batch, D.img_channels, D.img_resolution, D.img_resolution)
        labels = _labels(rng, batch, D.c_dim)
        verdict = oracle.discriminator(state, images, labels, u)
        u = verdict.u
        inputs = torch.from_numpy(images).float(), torch.from_numpy(labels).float()
        if function == "D_paper" and release == "PG":
            assert isinstance(D, progan.Discriminator)
            scores, logits = D(*inputs, return_labels=True)
            _close(logits, verdict.label_logits)
            _close(scores, verdict.scores)
        else:
            _close(D(*inputs), verdict.scores)
