"""The fast MLP and Gaussian against torch's autograd and torch's own distributions."""

from __future__ import annotations

import itertools

import pytest
import torch as th
from stable_baselines3.common.distributions import DiagGaussianDistribution, kl_divergence
from torch import nn

from sb3_lander.policies.networks import ACTIVATIONS, FastDiagGaussian, FastMlp, activation_class, supports_fused

FAST_ACTIVATIONS = [nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.ELU]


def make_mlp(activation: type[nn.Module], widths: list[int], dtype: th.dtype) -> tuple[nn.Sequential, nn.Linear]:
    th.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise([5, *widths]):
        layers += [nn.Linear(a, b, dtype=dtype), activation()]
    return nn.Sequential(*layers), nn.Linear(widths[-1] if widths else 5, 3, dtype=dtype)


@pytest.mark.parametrize("widths", [[], [6], [6, 4, 7]])
@pytest.mark.parametrize("activation", FAST_ACTIVATIONS)
def test_the_fast_mlp_computes_what_the_layers_compute(activation: type[nn.Module], widths: list[int]) -> None:
    hidden, head = make_mlp(activation, widths, th.float32)
    x = th.randn(9, 5)
    output, latent = FastMlp(hidden, head)(x)
    th.testing.assert_close(latent, hidden(x), atol=1e-6, rtol=1e-5)
    th.testing.assert_close(output, head(hidden(x)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("activation", FAST_ACTIVATIONS)
def test_the_fast_mlp_has_the_right_first_and_second_derivatives(activation: type[nn.Module]) -> None:
    hidden, head = make_mlp(activation, [6, 4], th.float64)
    fast = FastMlp(hidden, head)
    parameters = [p for m in (*hidden, head) for p in m.parameters()]

    def function(x: th.Tensor, *_: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        return fast(x)

    x = th.randn(3, 5, dtype=th.float64, requires_grad=True)
    assert th.autograd.gradcheck(function, (x, *parameters))
    assert th.autograd.gradgradcheck(function, (x, *parameters))


def test_an_mlp_that_is_not_alternating_linear_and_known_activation_is_left_to_torch() -> None:
    assert FastMlp.supports(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert not FastMlp.supports(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    assert not FastMlp.supports(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    assert not FastMlp.supports(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh()))


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


def test_an_activation_is_known_by_its_class_and_by_its_name() -> None:
    assert activation_class("ELU") is nn.ELU
    assert activation_class(nn.Softsign) is nn.Softsign
    assert all(activation_class(name) is cls for name, cls in ACTIVATIONS.items())
    for wrong in ("nn.Tanh", "sine", 3, th.tanh):
        with pytest.raises(ValueError, match="activation_fn"):
            activation_class(wrong)  # type: ignore[arg-type]  # wrong types are the point


def test_only_optimizers_with_a_fused_kernel_are_asked_for_one() -> None:
    assert supports_fused(th.optim.Adam)
    assert not supports_fused(th.optim.RMSprop)
