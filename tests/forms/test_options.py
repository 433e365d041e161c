"""Every option of every build function that changes the picture, against the independent float64 oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import progan
from tests.tools import oracle
from tests.tools.official import build, write_pickle
from tests.tools.tensorflow_cases import DISCRIMINATORS, GENERATORS, Case, case_id


def _convert(tmp_path: Path, state: dict[str, Any]) -> Checkpoint:
    write_pickle(tmp_path / "net.pkl", state)
    return converter.load(tmp_path / "net.pkl")


def _labels(rng: np.random.RandomState, n: int, size: int) -> np.ndarray[Any, Any]:
    return np.eye(size)[rng.randint(size, size=n)] if size else np.zeros((n, 0))


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], tolerance: float = 1e-4) -> None:
    assert actual.shape == expected.shape
    if expected.size:
        assert np.abs(actual.numpy() - expected).max() <= tolerance * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("case", GENERATORS, ids=case_id)
def test_generator_draws_what_the_formulas_say(case: Case, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("case", DISCRIMINATORS, ids=case_id)
def test_discriminator_scores_what_the_formulas_say(case: Case, tmp_path: Path) -> None:
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
