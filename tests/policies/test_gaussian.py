"""The fast Gaussian against SB3's own and torch's autograd; the clamp of a log std."""

from __future__ import annotations

import pytest
import torch as th
from stable_baselines3.common.distributions import DiagGaussianDistribution, kl_divergence

from sb3_lander.policies.distributions import FastDiagGaussian, clamp


@pytest.mark.parametrize("per_state", [False, True])
def test_the_fast_gaussian_agrees_with_sb3_on_every_figure(per_state: bool) -> None:
    mean = th.randn(7, 2, dtype=th.float64)
    log_std = th.randn(7, 2, dtype=th.float64) if per_state else th.randn(2, dtype=th.float64)
    actions = th.randn(7, 2, dtype=th.float64)
    ours = FastDiagGaussian(2).proba_distribution(mean, log_std)
    theirs = DiagGaussianDistribution(2).proba_distribution(mean, log_std)
    th.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    th.testing.assert_close(ours.entropy(), theirs.entropy())
    th.testing.assert_close(ours.mode(), theirs.mode())
    other = FastDiagGaussian(2).proba_distribution(mean + 1, log_std)
    other_of_sb3 = DiagGaussianDistribution(2).proba_distribution(mean + 1, log_std)
    th.testing.assert_close(kl_divergence(ours, other), kl_divergence(theirs, other_of_sb3))


def test_the_fast_gaussian_draws_the_samples_that_sb3_draws_from_the_same_random_state() -> None:
    mean, log_std = th.randn(64, 2), th.randn(2)
    th.manual_seed(3)
    ours = FastDiagGaussian(2).proba_distribution(mean, log_std).sample()
    th.manual_seed(3)
    assert th.equal(ours, DiagGaussianDistribution(2).proba_distribution(mean, log_std).sample())


@pytest.mark.parametrize("per_state", [False, True])
def test_the_fast_gaussian_has_the_right_first_and_second_derivatives(per_state: bool) -> None:
    def log_prob(actions: th.Tensor, mean: th.Tensor, log_std: th.Tensor) -> th.Tensor:
        return FastDiagGaussian(2).proba_distribution(mean, log_std).log_prob(actions)

    shapes = ((4, 2), (4, 2), (4, 2) if per_state else (2,))
    arguments = tuple(th.randn(shape, dtype=th.float64, requires_grad=True) for shape in shapes)
    assert th.autograd.gradcheck(log_prob, arguments)
    assert th.autograd.gradgradcheck(log_prob, arguments)


@pytest.mark.parametrize(("mean", "log_std"), [(float("nan"), 0.0), (0.0, float("nan")), (0.0, -200.0)])
def test_the_fast_gaussian_refuses_what_torch_refuses(mean: float, log_std: float) -> None:
    for kind in (DiagGaussianDistribution, FastDiagGaussian):
        with pytest.raises(ValueError, match="Expected"):
            kind(1).proba_distribution(th.tensor([[mean]]), th.tensor([log_std])).log_prob(th.zeros(1, 1))


def test_the_fast_gaussian_takes_a_distribution_that_is_put_into_it() -> None:
    distribution = FastDiagGaussian(1).proba_distribution(th.zeros(2, 1), th.zeros(1))
    distribution.distribution = th.distributions.Normal(th.ones(2, 1), 2.0 * th.ones(2, 1))
    assert distribution.mode().tolist() == [[1.0], [1.0]]
    # log N(1 | 1, 2) = -log(2) - log(2 pi) / 2
    assert distribution.log_prob(th.ones(2, 1)).tolist() == pytest.approx([-1.612086, -1.612086])


def test_the_clamp_has_a_gradient_at_its_bounds_and_none_beyond() -> None:
    x = th.tensor([-2.0, -1.0, 0.0, 0.5, 3.0], requires_grad=True)
    clamped = clamp(x, -1.0, 0.5)
    clamped.sum().backward()
    assert clamped.tolist() == [-1.0, -1.0, 0.0, 0.5, 0.5]
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
