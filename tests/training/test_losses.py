"""Losses and regularisers: worked by hand, and against finite differences in double precision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stylegan_torch.networks.path_lengths import path_lengths
from stylegan_torch.training import losses
from tests.tools.small_trainer import trainer_of

FINITE = st.floats(-20, 20)


def _column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_logistic_losses_by_hand() -> None:
    real, fake = _column(2.0, -1.0), _column(0.5, 3.0)
    on_fakes = (math.log(1 + math.exp(0.5)) + math.log(1 + math.exp(3.0))) / 2
    on_reals = (math.log(1 + math.exp(-2.0)) + math.log(1 + math.exp(1.0))) / 2
    assert losses.logistic_d_loss(real, fake).item() == pytest.approx(on_fakes + on_reals)
    on_generator = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-3.0))) / 2
    assert losses.logistic_g_loss(fake).item() == pytest.approx(on_generator)


@given(FINITE)
def test_logistic_losses_are_log_probabilities(score: float) -> None:
    fake = _column(score)
    probability = torch.sigmoid(fake).item()
    assert losses.logistic_g_loss(fake).item() == pytest.approx(-math.log(probability))
    on_reals = losses.logistic_g_loss(fake)  # reals are to the discriminator what fakes are to the generator
    assert losses.logistic_d_loss(fake, _column(-1e9)).item() == pytest.approx(on_reals.item())


def test_wasserstein_losses_by_hand() -> None:
    real, fake = _column(2.0, -1.0), _column(0.5, 3.0)
    assert losses.wgan_d_loss(real, fake, drift=0.1).item() == pytest.approx(1.75 - 0.5 + 0.1 * 2.5)
    assert losses.wgan_g_loss(fake).item() == pytest.approx(-1.75)


def test_label_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    first = -math.log(math.exp(2) / (math.exp(1) + math.exp(2) + 1))
    assert losses.label_loss(logits, labels).item() == pytest.approx((first + math.log(3)) / 2)


def _quadratic(images: Tensor) -> Tensor:
    """Score Σ x²/2, whose slope at an image is the image itself."""
    return images.square().sum(dim=(1, 2, 3))[:, None] / 2


def test_r1_of_a_known_slope() -> None:
    images = torch.randn(3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    expected = images.square().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(losses.r1_penalty(images, _quadratic(images)), expected)


def test_gradient_penalty_of_a_known_slope() -> None:
    real, fake = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64)
    share = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    between = torch.stack([real[0], 0.75 * real[1] + 0.25 * fake[1], fake[2]])
    norms = between.flatten(1).norm(dim=1)
    for target in (1.0, 750.0):
        expected = ((norms - target) ** 2).mean() / target**2
        torch.testing.assert_close(
            losses.gradient_penalty(_quadratic, real, fake, share=share, target=target), expected
        )


def test_path_lengths_of_a_linear_generator() -> None:
    # images = A ws, so the length of Aᵀy over the rows of ws is known.
    matrix = torch.randn(3 * 4 * 5, 2 * 6, dtype=torch.float64)
    ws = torch.randn(7, 2, 6, dtype=torch.float64, requires_grad=True)
    images = (ws.flatten(1) @ matrix.t()).reshape(7, 3, 4, 5)
    y = torch.randn(7, 3, 4, 5, dtype=torch.float64)
    back = (y.flatten(1) @ matrix).reshape(7, 2, 6) / math.sqrt(20)
    expected = back.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(path_lengths(images, ws, y), expected)
    assert losses.path_length_penalty(_column(1.0, 4.0), torch.tensor(2.0)).item() == pytest.approx((1 + 4) / 2)


class _Small(torch.nn.Module):
    """A smooth discriminator small enough for finite differences."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(5, 12, dtype=torch.float64) * 0.5)
        self.out = torch.nn.Parameter(torch.randn(1, 5, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(images.flatten(1) @ self.weight.t()) @ self.out.t()


def _slope(function: Any, at: Tensor, step: float = 1e-6) -> Tensor:
    """Return the gradient of a scalar function by central differences."""
    result = torch.zeros_like(at)
    for i in range(at.numel()):
        values = []
        for sign in (1, -1):
            moved = at.detach().clone()
            moved.view(-1)[i] += sign * step
            values.append(function(moved))
        result.view(-1)[i] = (values[0] - values[1]) / (2 * step)
    return result


def test_r1_and_its_gradient_by_finite_differences() -> None:
    torch.manual_seed(0)
    D = _Small()
    images = torch.randn(2, 3, 2, 2, dtype=torch.float64)

    def penalty_by_differences(weight: Tensor) -> Tensor:
        def score(x: Tensor) -> Tensor:
            return (torch.tanh(x.flatten(1) @ weight.t()) @ D.out.t()).sum().detach()

        return _slope(score, images).square().sum(dim=(1, 2, 3)).mean()

    leaf = images.clone().requires_grad_(True)
    penalty = losses.r1_penalty(leaf, D(leaf))
    torch.testing.assert_close(penalty.detach(), penalty_by_differences(D.weight.detach()), rtol=1e-6, atol=1e-8)
    (slope,) = torch.autograd.grad(penalty, D.weight)
    by_differences = _slope(penalty_by_differences, D.weight.detach(), 1e-4)
    torch.testing.assert_close(slope, by_differences, rtol=1e-3, atol=1e-4)


def test_path_length_gradient_by_finite_differences() -> None:
    torch.manual_seed(0)
    weight = torch.randn(12, 4, dtype=torch.float64)
    ws, y = torch.randn(2, 1, 4, dtype=torch.float64), torch.randn(2, 3, 2, 2, dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        leaf = ws.clone().requires_grad_(True)
        images = torch.tanh(leaf[:, 0] @ weight.t()).reshape(2, 3, 2, 2)
        return losses.path_length_penalty(path_lengths(images, leaf, y), torch.tensor(0.3))

    parameter = weight.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(penalty(parameter), parameter)
    torch.testing.assert_close(slope, _slope(lambda w: penalty(w).detach(), weight), rtol=1e-5, atol=1e-7)


def test_wgan_penalty_gradient_by_finite_differences() -> None:
    torch.manual_seed(0)
    D = _Small()
    real, fake = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64)
    share = torch.tensor([0.3, 0.8], dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        def score(x: Tensor) -> Tensor:
            return torch.tanh(x.flatten(1) @ weight.t()) @ D.out.detach().t()

        return losses.gradient_penalty(score, real, fake, share=share)

    parameter = D.weight.detach().clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(penalty(parameter), parameter)
    by_differences = _slope(lambda w: penalty(w).detach(), parameter.detach())
    torch.testing.assert_close(slope, by_differences, rtol=1e-5, atol=1e-7)


@given(st.integers(2, 32), st.floats(0.0, 0.9), st.floats(0.5, 0.999))
def test_lazy_steps_move_as_far_as_eager_ones(interval: int, beta1: float, beta2: float) -> None:
    lr, betas = losses.lazy_adam(0.002, (beta1, beta2), interval)
    steps = interval + 1  # of the loss, and one of the regulariser, in a cycle
    assert lr * steps == pytest.approx(0.002 * interval)
    assert betas[0] ** steps == pytest.approx(beta1**interval)
    assert betas[1] ** steps == pytest.approx(beta2**interval)


def test_no_lazy_regularizer_changes_nothing() -> None:
    for interval in (0, 1):
        assert losses.lazy_adam(0.002, (0.0, 0.99), interval) == (0.002, (0.0, 0.99))


@given(st.integers(1, 64), st.floats(0.1, 20))
def test_ema_has_its_half_life(batch: int, kimg: float) -> None:
    beta = losses.ema_beta(batch, kimg)
    assert beta ** (kimg * 1000 / batch) == pytest.approx(0.5)


def test_ema_ramps_up() -> None:
    assert losses.ema_beta(32, 10, shown=0, rampup=0.05) == 0.0  # the average begins as the generator
    assert losses.ema_beta(32, 10, shown=20_000, rampup=0.05) == pytest.approx(0.5 ** (32 / 1000))
    assert losses.ema_beta(32, 10, shown=10**9, rampup=0.05) == losses.ema_beta(32, 10)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_mixed_styles_take_rows_from_both(cutoffs: list[int]) -> None:
    ws, others = torch.zeros(len(cutoffs), 5, 3), torch.ones(len(cutoffs), 5, 3)
    mixed = losses.mix_styles(ws, others, torch.tensor(cutoffs))
    assert mixed[:, :, 0].sum(dim=1).tolist() == [max(5 - cutoff, 0) for cutoff in cutoffs]
    for sample, cutoff in zip(mixed, cutoffs, strict=True):
        assert (sample[:cutoff] == 0).all()
        assert (sample[cutoff:] == 1).all()


@pytest.mark.parametrize("optimizer", ["g_optimizer", "d_optimizer"])
def test_adam_adds_the_epsilon_of_the_papers(optimizer: str) -> None:
    # The first step is of size lr · |g| / (|g| + epsilon).
    adam: Any = getattr(trainer_of("pg.pkl"), optimizer)
    group = adam.param_groups[0]
    parameter = group["params"][0]
    before = parameter.detach().clone()
    parameter.grad = torch.full_like(parameter, 1e-8)
    adam.step()
    torch.testing.assert_close(
        before - parameter.detach(), torch.full_like(before, group["lr"] / 2), rtol=0.01, atol=1e-6
    )
