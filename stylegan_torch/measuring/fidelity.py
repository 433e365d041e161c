"""torch-fidelity, behind one door: the formulas, and the networks whose features the papers' numbers are of.

Its own protocol (what is generated, from which seeds, against which pictures) is not used: that is this room's part.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from stylegan_torch.errors import StyleGANError

KID = {"kid_subsets": 100, "kid_subset_size": 1000}
PR = {"prc_neighborhood": 3}
IS = {"isc_splits": 10}
SEED = 2020
"""Of the subsets of KID and the order of pictures for IS; torch-fidelity's own."""
_CHUNK = 10_000
_BINARY = ("nms", "qnms")
_declared: list[torch.library.Library] = []


class MeasureError(StyleGANError):
    """A measure cannot be taken, or not of these pictures."""


def library() -> Any:
    """Return the package `torch_fidelity`.

    Raises:
        MeasureError: if it is not installed.
    """
    try:
        return importlib.import_module("torch_fidelity")
    except ImportError as error:
        raise MeasureError("this measure needs more packages: pip install 'stylegan-torch[measure]'") from error
    except RuntimeError as error:
        # A torchvision made for another build of PyTorch (CUDA's beside a CPU's) has no operators to import. What is
        # used of it here has none either, so it does to declare those that it looks for.
        if "torchvision::" not in str(error) or _declared:
            raise
        _declared.append(torch.library.Library("torchvision", "FRAGMENT"))  # type: ignore[no-untyped-call]
        for name in _BINARY:
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _declared[0].define(signature)  # type: ignore[no-untyped-call]
        return importlib.import_module("torch_fidelity")


def _metric(name: str) -> Any:
    library()
    return importlib.import_module(f"torch_fidelity.metric_{name}")


def frechet_distance(generated: Tensor, reals: Tensor) -> float:
    """Return the Fréchet distance of two sets of features, seen as normal distributions (Heusel et al. 2017, FID).

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½)

    Args:
        generated: features [N, D], N > 1.
        reals: features [M, D], M > 1.

    Raises:
        MeasureError: if there are fewer than two of a set.
    """
    at_least(2, generated, reals)
    fid = _metric("fid")
    # In float64, so that the mean of many float32 numbers is not rounded on the way.
    first, second = (fid.fid_features_to_statistics(features.double()) for features in (generated, reals))
    return float(fid.fid_statistics_to_metric(first, second, False)[fid.KEY_METRIC_FID])


def kernel_distance(generated: Tensor, reals: Tensor) -> dict[str, float]:
    """Return mean and spread of the squared maximum mean discrepancy over subsets (Bińkowski et al. 2018, KID).

    The kernel is (x·y / D + 1)³. There are 100 subsets of 1000 features, of all of them where there are fewer.

    Raises:
        MeasureError: if there are fewer than two of a set.
    """
    at_least(2, generated, reals)
    kid = _metric("kid")
    size = subset_size(generated, reals)
    found = kid.kid_features_to_metric(
        generated.double(), reals.double(), **KID | {"kid_subset_size": size}, rng_seed=SEED, verbose=False
    )
    return {"mean": found[kid.KEY_METRIC_KID_MEAN], "spread": found[kid.KEY_METRIC_KID_STD]}


def subset_size(generated: Tensor, reals: Tensor) -> int:
    """Return how many features of each set KID compares at once."""
    return min(KID["kid_subset_size"], len(generated), len(reals))


def precision_recall(generated: Tensor, reals: Tensor) -> dict[str, float]:
    """Return precision and recall by balls that reach to the third-nearest of their own set (Kynkäänniemi et al. 2019).

    precision: share of generated features in a ball of a real one. recall: the other way round.

    Raises:
        MeasureError: if there are fewer than four of a set.
    """
    at_least(PR["prc_neighborhood"] + 1, generated, reals)
    prc = _metric("prc")
    found = prc.prc_features_to_metric(
        generated,
        reals,
        **PR,
        prc_batch_size=_CHUNK,
        save_cpu_ram=max(len(generated), len(reals)) > _CHUNK,
        verbose=False,
    )
    return {"precision": found[prc.KEY_METRIC_PRECISION], "recall": found[prc.KEY_METRIC_RECALL]}


def inception_score(logits: Tensor) -> dict[str, float]:
    """Return mean and spread, over ten parts, of exp E KL(p(y|x) ‖ p(y)) (Salimans et al. 2016).

    Args:
        logits: of classes, [N, C], without a bias as in the original; N at least 10.

    Raises:
        MeasureError: if there are fewer.
    """
    at_least(IS["isc_splits"], logits)
    isc = _metric("isc")
    found = isc.isc_features_to_metric(logits, IS["isc_splits"], True, SEED)
    return {"mean": found[isc.KEY_METRIC_ISC_MEAN], "spread": found[isc.KEY_METRIC_ISC_STD]}


def at_least(count: int, *sets: Tensor) -> None:
    """Raise MeasureError if a set has fewer features, or other ones than the next."""
    if any(len(features) < count for features in sets):
        counts = " and ".join(f"{len(features):,}" for features in sets)
        raise MeasureError(f"this measure takes at least {count} pictures of each set, and there are {counts}")
