"""The Fréchet distance against its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan_torch.training.score import RandomFeatures, features_of, frechet_distance


@given(st.floats(-3, 3), st.floats(0.1, 4))
def test_of_normal_distributions_with_independent_features(shift: float, scale: float) -> None:
    a = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = (a - a.mean(dim=0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(a.t()))).t()  # exactly white
    b = a * scale + shift
    assert frechet_distance(a, b) == pytest.approx(6 * (shift**2 + (scale - 1) ** 2), abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), abs=1e-6)


def test_of_correlated_features() -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(100, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64) for _ in range(2))
    product = torch.linalg.eigvals(torch.cov(a.t()) @ torch.cov(b.t()))  # the definition, with no symmetric form
    shared = product.sqrt().real.sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    expected = apart + torch.cov(a.t()).trace() + torch.cov(b.t()).trace() - 2 * shared
    assert frechet_distance(a, b) == pytest.approx(expected.item())


def test_random_features_are_the_same_at_every_run_and_tell_pictures_apart() -> None:
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    first, second = (features_of(torch.split(images, 10), RandomFeatures()) for _ in range(2))
    assert torch.equal(first, second)
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    little, much = (features_of([x], RandomFeatures()) for x in (images.lerp(blurred, 0.1), blurred))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert 0 < frechet_distance(first, little) < frechet_distance(first, much)
