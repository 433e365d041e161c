"""Our networks against arrays that the original programs computed, within the project's tolerances.

`tests/data` has small checkpoints in the exact file form of each release, every variable random, and beside each the
arrays. Images may differ by 1e-4, latents and scores by 1e-4 · max(1, largest value), 8-bit pictures only where
rounding decides (`compare.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import converter
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import progan, stylegan3
from tests import DATA
from tests.tools.compare import assert_same_picture

STYLE_BASED = ["ada", "ada-cond", "sg1", "sg1-cond", "sg1-fused", "sg2-cond", "sg2-orig", "sg2-resnet", "sg2-revised"]
STYLE_BASED += ["sg2-skip"]
PROGAN = ["pg", "pg-unfused"]
STYLEGAN3 = ["sg3t_64", "sg3r_64"]
PYTORCH = ["ada1_skip64", "ada2_cond5", "ada3_resnetG_skipD", "ada4_orig_cifar", "ada5_fp16_nhwc_gray", "sg3repo_sg2"]
PYTORCH += STYLEGAN3

Arrays = Mapping[str, np.ndarray[Any, Any]]


@cache
def _case(name: str) -> tuple[Checkpoint, Arrays]:
    return converter.load(DATA / f"{name}.pkl"), np.load(DATA / f"{name}.npz")


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], image: bool = True) -> None:
    assert actual.shape == expected.shape
    limit = 1e-4 if image or not expected.size else 1e-4 * max(1.0, float(np.abs(expected).max()))
    assert not expected.size or float(np.abs(actual.numpy() - expected).max()) <= limit


def _has(arrays: Arrays, *names: str) -> bool:
    # The arrays of the largest case are a selection, to keep the repository small.
    return all(name in arrays for name in names)


@pytest.mark.parametrize("name", STYLE_BASED)
def test_tensorflow_generator(name: str) -> None:
    checkpoint, arrays = _case(name)
    G = checkpoint.network("G_ema")
    z, c = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["labels"])
    _close(G.mapping(z, c), arrays["w"], image=False)
    _close(G(z, c), arrays["img"])
    # StyleGAN(1) truncates nothing where no cutoff is given.
    psi = 1.0 if name.startswith("sg1") else 0.7
    defaults: dict[str, Any] = {
        "truncation_psi": G.config.truncation_psi,
        "truncation_cutoff": G.config.truncation_cutoff,
    }
    if _has(arrays, "img_psi0.7"):
        _close(G(z, c, truncation_psi=psi), arrays["img_psi0.7"])
        _close(G(z, c, truncation_psi=0.5, truncation_cutoff=4), arrays["img_psi0.5_cut4"])
        _close(G(z, c, **defaults), arrays["img_default"])
        _close(checkpoint.network("G")(z, c, truncation_psi=psi), arrays["img_G"])
        _close(G.synthesis(torch.from_numpy(arrays["w_mixed"])), arrays["img_w_mixed"])


@pytest.mark.parametrize("name", STYLE_BASED)
def test_tensorflow_discriminator(name: str) -> None:
    checkpoint, arrays = _case(name)
    D = checkpoint.network("D")
    images, c = torch.from_numpy(arrays["img"]), torch.from_numpy(arrays["labels"])
    _close(D(images, c), arrays["d_scores"], image=False)
    _close(D(images[:3], c[:3]), arrays["d_scores_batch3"], image=False)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("name", STYLE_BASED)
def test_official_picture_of_a_seed(name: str, seed: int) -> None:
    checkpoint, arrays = _case(name)
    G = checkpoint.network("G_ema")
    settings = DrawSettings(truncation_psi=0.7, class_index=1 if G.c_dim else None)
    [(drawn, picture)] = draw(G, [seed], settings)
    assert drawn == seed
    assert_same_picture(picture, arrays[f"seed{seed}_psi0.7_uint8"], arrays[f"seed{seed}_psi0.7_float"])


@pytest.mark.parametrize("name", PROGAN)
def test_progan(name: str) -> None:
    checkpoint, arrays = _case(name)
    z, c, images = (torch.from_numpy(arrays[key]) for key in ("z", "labels", "img"))
    _close(checkpoint.network("G_ema")(z, c), arrays["img"])
    _close(checkpoint.network("G")(z, c), arrays["img_G"])
    D = checkpoint.network("D")
    assert isinstance(D, progan.Discriminator)
    scores, logits = D(images, return_labels=True)
    _close(scores, arrays["d_scores"], image=False)
    _close(logits, arrays["d_labels"], image=False)
    _close(D(images[:3]), arrays["d_scores_batch3"], image=False)


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_generator(name: str) -> None:
    checkpoint, arrays = _case(name)
    G = checkpoint.network("G_ema")
    z, c = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["c"])
    cut: dict[str, Any] = {"truncation_psi": 0.5, "truncation_cutoff": 4}
    _close(G.mapping(z, c), arrays["w"], image=False)
    _close(G.mapping(z, c, truncation_psi=0.7), arrays["w_trunc"], image=False)
    _close(G.mapping(z, c, **cut), arrays["w_cut"], image=False)
    _close(G(z, c), arrays["img_const"])
    _close(G(z, c, truncation_psi=0.7), arrays["img_const_trunc"])
    _close(G(z, c, **cut), arrays["img_const_cut"])
    if name not in STYLEGAN3:
        _close(G(z, c, noise_mode="none"), arrays["img_none"])
    _close(checkpoint.network("G")(z, c), arrays["img_const_G"])
    _close(G.synthesis(torch.from_numpy(arrays["w_mix"])), arrays["img_mix"])


@pytest.mark.parametrize("name", STYLEGAN3)
def test_stylegan3_moved_and_turned(name: str) -> None:
    checkpoint, arrays = _case(name)
    G = checkpoint.network("G_ema")
    assert isinstance(G, stylegan3.Generator)
    z, transform = torch.from_numpy(arrays["z"]), G.synthesis.input.transform
    assert np.array_equal(transform.numpy(), arrays["transform_stored"])
    _close(G.synthesis.input(G.mapping(z[:1])[:, 0]), arrays["input_features_b1"])
    _close(G(z[1:2]), arrays["img_const_b1"])
    for what in ("rot", "zoom"):
        transform.copy_(torch.from_numpy(arrays[f"transform_{what}"]))
        _close(G(z), arrays[f"img_{what}"])


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_discriminator(name: str) -> None:
    checkpoint, arrays = _case(name)
    D = checkpoint.network("D")
    images, c = torch.from_numpy(arrays["D_images"]), torch.from_numpy(arrays["c4"])
    group = {"g2": 2, "gNone": None}
    scores = [key for key in arrays if key.startswith("D_logits") and not key.endswith("native")]
    assert len(scores) >= 4
    for key in scores:
        _, _, batch, *of_group = key.split("_")
        n = int(batch[1:])
        D.b4.mbstd_group_size = group[of_group[0]] if of_group else D.config.mbstd_group_size
        _close(D(images[:n], c[:n]), arrays[key], image=False)
