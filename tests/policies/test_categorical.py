"""The fast categorical distribution against SB3's own and torch's autograd."""

from __future__ import annotations

import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, kl_divergence
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_lander.policies import SeparateActorCriticPolicy
from sb3_lander.policies.distributions import FastCategorical


def test_it_agrees_with_sb3_on_every_figure() -> None:
    logits, actions = 3.0 * th.randn(7, 4, dtype=th.float64), th.randint(4, (7,))
    ours, theirs = (kind(4).proba_distribution(logits) for kind in (FastCategorical, CategoricalDistribution))
    th.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    th.testing.assert_close(ours.log_prob(actions.float()), theirs.log_prob(actions.float()))
    th.testing.assert_close(ours.entropy(), theirs.entropy())
    assert th.equal(ours.mode(), theirs.mode())
    other, other_of_sb3 = (
        kind(4).proba_distribution(logits + th.arange(4.0)) for kind in (FastCategorical, CategoricalDistribution)
    )
    th.testing.assert_close(kl_divergence(ours, other), kl_divergence(theirs, other_of_sb3))


def test_it_draws_the_samples_that_sb3_draws_from_the_same_random_state() -> None:
    logits, drawn = th.randn(64, 4), []
    for kind in (FastCategorical, CategoricalDistribution):
        th.manual_seed(3)
        drawn.append(kind(4).proba_distribution(logits).sample())
    assert th.equal(*drawn)
    assert drawn[0].unique().tolist() == [0, 1, 2, 3]


def test_it_has_the_right_first_and_second_derivatives() -> None:
    actions = th.tensor([0, 3, 2])

    def figures(logits: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        distribution = FastCategorical(4).proba_distribution(logits)
        return distribution.log_prob(actions), distribution.entropy()

    logits = th.randn(3, 4, dtype=th.float64, requires_grad=True)
    assert th.autograd.gradcheck(figures, logits)
    assert th.autograd.gradgradcheck(figures, logits)


def test_it_takes_what_torch_takes_and_refuses_what_torch_refuses() -> None:
    impossible = th.tensor([[0.0, float("-inf")]])
    for kind in (FastCategorical, CategoricalDistribution):
        assert kind(2).proba_distribution(impossible).entropy().tolist() == [0.0]
        with pytest.raises(ValueError, match="Expected"):
            kind(2).proba_distribution(th.tensor([[0.0, float("nan")]]))


@pytest.mark.parametrize("mirror", [None, "lunar_lander_discrete"])
def test_a_fast_policy_trains_as_the_plain_one(mirror: str | None) -> None:
    """Without a mirror the plain one is SB3's, bit for bit."""
    options = {"activation_fn": th.nn.ReLU, "net_arch": [16, 8]}
    spaces_of_lander = spaces.Box(-1.0, 1.0, (8,)), spaces.Discrete(4)
    policies: list[ActorCriticPolicy] = []
    for fast in (True, False):
        th.manual_seed(0)
        policies.append(
            SeparateActorCriticPolicy(*spaces_of_lander, lambda _: 0.01, fast=fast, mirror=mirror, **options)
        )
    if mirror is None:
        th.manual_seed(0)
        policies.append(ActorCriticPolicy(*spaces_of_lander, lambda _: 0.01, **options))
    outputs = []
    for policy in policies:
        generator = th.Generator().manual_seed(3)
        for _ in range(5):
            obs, actions = th.randn(20, 8, generator=generator), th.randint(4, (20,), generator=generator)
            values, log_prob, entropy = policy.evaluate_actions(obs, actions)
            assert entropy is not None
            loss = (values - 1.0).square().mean() - (log_prob * obs[:, 0]).mean() - 0.1 * entropy.mean()
            policy.optimizer.zero_grad()
            loss.backward()
            policy.optimizer.step()
        th.manual_seed(5)
        with th.no_grad():
            outputs.append([*policy(obs), policy.predict_values(obs), policy.get_distribution(obs).mode()])
    for ours, theirs in zip(outputs[0], outputs[1], strict=True):
        th.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    if mirror is None:
        assert all(th.equal(ours, theirs) for ours, theirs in zip(*outputs[1:], strict=True))
    else:
        side = policies[0].symmetry.mirror_obs(obs)  # type: ignore[operator,union-attr]  # torch's modules answer any name
        swapped = th.tensor([0, 3, 2, 1])[policies[0].get_distribution(obs).mode()]
        assert th.equal(policies[0].get_distribution(side).mode(), swapped)
