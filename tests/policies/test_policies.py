"""SeparateActorCriticPolicy against SB3's own policy, against AllenAct's model, and against its own promises."""

from __future__ import annotations

import inspect
import itertools
import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.envs import IdentityEnv, IdentityEnvMultiBinary, IdentityEnvMultiDiscrete
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_lander.policies.fused_adam import FusedAdam
from sb3_lander.policies.policy import SeparateActorCriticPolicy
from sb3_lander.policies.symmetry import SYMMETRIES

LANDER_OBS = spaces.Box(-1.0, 1.0, (8,))
LANDER_ACTION = spaces.Box(-1.0, 1.0, (2,))
ALGORITHMS: dict[type[BaseAlgorithm], dict[str, Any]] = {
    PPO: {"n_steps": 32, "batch_size": 16, "n_epochs": 2},
    A2C: {"n_steps": 16},
    TRPO: {"n_steps": 32, "batch_size": 16},
}
ENVS = {
    "Box": lambda: gym.make("Pendulum-v1"),
    "Discrete": lambda: gym.make("CartPole-v1"),
    "Discrete observation": lambda: IdentityEnv(4),
    "MultiDiscrete": lambda: IdentityEnvMultiDiscrete(3),
    "MultiBinary": lambda: IdentityEnvMultiBinary(3),
}


def make(action_space: spaces.Space = LANDER_ACTION, **options: Any) -> SeparateActorCriticPolicy:
    th.manual_seed(0)
    return SeparateActorCriticPolicy(LANDER_OBS, action_space, lambda _: 1e-3, **options)


def train(
    algorithm: type[BaseAlgorithm],
    policy: type[ActorCriticPolicy],
    env: gym.Env,
    use_sde: bool = False,
    **options: Any,
) -> BaseAlgorithm:
    settings = {**ALGORITHMS[algorithm], "seed": 1, "device": "cpu", "use_sde": use_sde}
    return algorithm(policy, env, policy_kwargs=options, **settings).learn(64)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_with_all_options_off_training_gives_bit_for_bit_what_sb3_gives(algorithm: type, env: str) -> None:
    ours = train(algorithm, SeparateActorCriticPolicy, ENVS[env]()).policy.state_dict()
    theirs = train(algorithm, ActorCriticPolicy, ENVS[env]()).policy.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(th.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu", "elu", "gelu"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fast_training_differs_from_sb3_by_rounding_only(algorithm: type, activation: str) -> None:
    fast = train(algorithm, SeparateActorCriticPolicy, ENVS["Box"](), fast=True, activation_fn=activation)
    slow = train(algorithm, SeparateActorCriticPolicy, ENVS["Box"](), activation_fn=activation)
    for key, value in slow.policy.state_dict().items():
        th.testing.assert_close(fast.policy.state_dict()[key], value, atol=1e-4, rtol=1e-3)


def test_the_fused_optimizer_keeps_sb3s_epsilon() -> None:
    policy = make(fast=True)
    assert isinstance(policy.optimizer, FusedAdam)
    assert policy.optimizer.defaults["eps"] == make().optimizer.defaults["eps"] == 1e-5
    assert make(fast=True, optimizer_class=th.optim.RMSprop).optimizer.defaults["eps"] == 1e-8


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gsde_works_as_in_sb3(algorithm: type) -> None:
    ours = train(algorithm, SeparateActorCriticPolicy, ENVS["Box"](), use_sde=True).policy.state_dict()
    theirs = train(algorithm, ActorCriticPolicy, ENVS["Box"](), use_sde=True).policy.state_dict()
    assert all(th.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("options", [{}, {"fast": True, "std": "state_dependent", "mirror": "lunar_lander"}])
def test_correlated_noise_has_the_policys_std_at_each_step_and_lasts(options: dict[str, Any]) -> None:
    policy = make(noise_correlation=0.9, log_std_init=-0.7, **options)
    obs = th.randn(64, 8)
    with th.no_grad():
        steps = [policy(obs) for _ in range(2000)]
        deterministic, _, _ = policy(obs, deterministic=True)
        mode = policy.get_distribution(obs).mode()
    noise = (th.stack([actions for actions, _, _ in steps]) - mode) / math.exp(-0.7)
    assert th.equal(deterministic, mode)
    # Over 64 rows, 2 actions and 2000 steps of which ten are worth about one; five standard errors each.
    assert noise.mean().abs() < 5 / math.sqrt(64 * 2 * 100)
    assert (noise.std() - 1).abs() < 5 / math.sqrt(2 * 64 * 2 * 200)
    assert ((noise[1:] * noise[:-1]).mean() - 0.9).abs() < 0.02
    assert ((noise[10:] * noise[:-10]).mean() - 0.9**10).abs() < 0.05
    assert (noise[:, 0] * noise[:, 1]).mean().abs() < 0.2  # environments
    assert (noise[..., 0] * noise[..., 1]).mean().abs() < 0.05  # actions
    actions, _, log_prob = steps[-1]
    expected = policy.get_distribution(obs).log_prob(actions)
    assert th.allclose(log_prob, expected, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_with_correlated_noise(algorithm: type) -> None:
    make_env = ENVS["Box"]
    model = train(algorithm, SeparateActorCriticPolicy, make_env(), noise_correlation=0.9)
    white = train(algorithm, SeparateActorCriticPolicy, make_env())
    assert not all(th.equal(a, b) for a, b in zip(model.policy.parameters(), white.policy.parameters(), strict=True))


@pytest.mark.parametrize("method", ["half", "average"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bounded_mean": True, "std": "state_dependent", "log_std_bounds": (-3, 0)},
        {"fast": True, "value_scale": 20.0},
    ],
)
def test_a_mirrored_policy_is_exactly_equivariant_and_its_critic_exactly_invariant(
    method: str, options: dict[str, Any]
) -> None:
    policy = make(mirror={**SYMMETRIES["lunar_lander"], "method": method}, **options)
    for parameter in policy.parameters():
        nn.init.normal_(parameter, std=0.5)
    obs = th.randn(32, 8)
    obs[:8, 0] = 0.0
    obs[0] = th.tensor([0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 1.0])
    mirrored = policy.symmetry.mirror_obs(obs)
    distribution, other = (
        policy.get_distribution(obs).distribution,
        policy.get_distribution(mirrored).distribution,
    )
    sign = th.tensor([1.0, -1.0])
    assert distribution.mean[:, 1].abs().max() > 0.01
    th.testing.assert_close(distribution.mean * sign, other.mean, atol=0, rtol=0 if method == "half" else 1e-5)
    th.testing.assert_close(distribution.stddev, other.stddev, atol=0, rtol=0 if method == "half" else 1e-5)
    values = policy.predict_values(obs), policy.predict_values(mirrored)
    th.testing.assert_close(*values, atol=0, rtol=0 if method == "half" else 1e-5)


def test_a_mirror_of_discrete_actions_swaps_their_probabilities() -> None:
    mirror = {**SYMMETRIES["lunar_lander"], "action_sign": [1] * 4, "action_permutation": [0, 3, 2, 1]}
    policy = make(spaces.Discrete(4), mirror=mirror)
    obs = th.randn(16, 8)
    probabilities = policy.get_distribution(obs).distribution.probs
    mirrored = policy.get_distribution(policy.symmetry.mirror_obs(obs)).distribution.probs
    # The sum in the softmax runs in another order.
    th.testing.assert_close(probabilities[:, [0, 3, 2, 1]], mirrored, atol=0, rtol=1e-6)


def test_a_bounded_mean_stays_within_any_bounds_and_reaches_their_centre() -> None:
    space = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    policy = make(space, bounded_mean=True)
    nn.init.normal_(policy.action_net.weight, std=100.0)
    means = policy.get_distribution(th.randn(500, 8)).mode().detach().numpy()
    assert (means >= space.low).all()
    assert (means <= space.high).all()
    assert np.ptp(means, axis=0) == pytest.approx([4.0, 10.0], abs=0.01)
    nn.init.zeros_(policy.action_net.weight)
    assert policy.get_distribution(th.randn(1, 8)).mode().tolist() == [[0.0, 5.0]]


def test_a_fixed_std_never_moves_and_a_learned_one_does() -> None:
    options = {"log_std_init": math.log(0.5)}
    fixed = train(PPO, SeparateActorCriticPolicy, ENVS["Box"](), std="fixed", **options)
    learned = train(PPO, SeparateActorCriticPolicy, ENVS["Box"](), std="learned", **options)
    assert fixed.policy.log_std.exp().item() == pytest.approx(0.5)
    assert learned.policy.log_std.exp().item() != pytest.approx(0.5, abs=1e-6)
    train(TRPO, SeparateActorCriticPolicy, ENVS["Box"](), std="fixed", **options)


def test_a_state_dependent_std_starts_equal_everywhere_and_learns_to_differ() -> None:
    env = ENVS["Box"]()
    options = {"std": "state_dependent", "log_std_init": -0.5}
    obs = th.randn(10, 3)
    fresh = PPO(SeparateActorCriticPolicy, env, device="cpu", policy_kwargs=options).policy
    assert fresh.get_distribution(obs).distribution.stddev.detach().numpy() == pytest.approx(math.exp(-0.5))
    trained = train(PPO, SeparateActorCriticPolicy, env, **options).policy
    assert trained.get_distribution(obs).distribution.stddev.std() > 0


@pytest.mark.parametrize("std", ["learned", "state_dependent"])
def test_the_log_std_stays_within_its_bounds_and_can_come_back_from_them(std: str) -> None:
    policy = make(std=std, log_std_bounds=(-1.0, 0.5), log_std_init=-1.0)
    obs = th.randn(8, 8)
    parameter = policy.log_std if std == "learned" else policy.log_std_net.bias
    optimizer = th.optim.SGD([parameter], lr=10.0)
    for direction, bound in ((1.0, 0.5), (-1.0, -1.0), (1.0, 0.5)):
        optimizer.zero_grad()
        # The entropy pulls the std up or down, as hard as it can.
        (-direction * policy.get_distribution(obs).entropy().mean()).backward()
        optimizer.step()
        log_std = policy.get_distribution(obs).distribution.stddev.log()
        assert log_std.detach().numpy() == pytest.approx(bound, abs=1e-6)
        if std == "state_dependent":
            break  # a bias far outside has no gradient, as SAC's clamped head has none: other states' weights move it


def test_a_value_scale_is_the_same_as_training_on_scaled_rewards_but_reports_raw_values() -> None:
    def make_model(reward_scale: float, value_scale: float, vf_coef: float) -> PPO:
        env = gym.wrappers.TransformReward(gym.make("Pendulum-v1"), lambda r: r * reward_scale)
        options = {"value_scale": value_scale}
        return PPO(
            SeparateActorCriticPolicy,
            env,
            seed=1,
            device="cpu",
            policy_kwargs=options,
            vf_coef=vf_coef,
            **ALGORITHMS[PPO],
        ).learn(64)

    scaled_reward = make_model(reward_scale=1 / 16, value_scale=1.0, vf_coef=0.5)
    scaled_value = make_model(reward_scale=1.0, value_scale=16.0, vf_coef=0.5 / 16**2)
    for key, value in scaled_reward.policy.state_dict().items():
        th.testing.assert_close(scaled_value.policy.state_dict()[key], value, atol=1e-5, rtol=1e-4)
    obs = th.randn(5, 3)
    values = scaled_value.policy.predict_values(obs)
    th.testing.assert_close(values, 16 * scaled_reward.policy.predict_values(obs), atol=1e-3, rtol=1e-3)


COMBINATIONS = [
    dict(zip(("std", "bounded_mean", "mirror", "fast"), values, strict=True))
    for values in itertools.product(
        ("learned", "fixed", "state_dependent"), (False, True), (None, "lunar_lander"), (False, True)
    )
]


@pytest.mark.parametrize("options", COMBINATIONS, ids=lambda o: "-".join(str(v) for v in o.values()))
def test_every_combination_survives_saving_and_loading(options: dict[str, Any], tmp_path: Path) -> None:
    options = {**options, "net_arch": {"pi": [8], "vf": [16, 8]}, "activation_fn": "elu", "value_scale": 20.0}
    if options["std"] != "fixed":
        options["log_std_bounds"] = [-2.0, 0.5]
    env = gym.make("LunarLanderContinuous-v3")
    model = PPO(SeparateActorCriticPolicy, env, seed=1, device="cpu", policy_kwargs=options, **ALGORITHMS[PPO]).learn(
        32
    )
    obs, actions = th.randn(16, 8), th.randn(16, 2)
    expected = model.policy.evaluate_actions(obs, actions)

    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", env=env, device="cpu")
    model.policy.save(tmp_path / "policy.zip")
    loaded_policy = SeparateActorCriticPolicy.load(tmp_path / "policy.zip", device="cpu")
    for policy in (loaded.policy, loaded_policy):
        for ours, theirs in zip(policy.evaluate_actions(obs, actions), expected, strict=True):
            assert th.equal(ours, theirs)
        for name in options:
            if name not in ("net_arch", "activation_fn", "log_std_bounds"):
                assert getattr(policy, name) == options[name], name
        assert policy.activation_fn is nn.ELU
        assert policy.net_arch == options["net_arch"]
    # Training goes on alike: the optimizer's state and its options have come along.
    states = []
    for again in (model, loaded):
        again.set_random_seed(7)
        states.append(again.learn(32).policy.state_dict())
    assert all(th.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_constructor_parameters_hold_every_argument() -> None:
    arguments = set(inspect.signature(SeparateActorCriticPolicy).parameters)
    assert set(make()._get_constructor_parameters()) == arguments


def test_own_arguments_are_keyword_only() -> None:
    parameters = list(inspect.signature(SeparateActorCriticPolicy).parameters.values())
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters[3:])


@pytest.mark.parametrize(
    ("action_space", "options", "message"),
    [
        (spaces.Discrete(3), {"bounded_mean": True}, "bounded_mean: needs a Box"),
        (spaces.MultiBinary(3), {"std": "fixed"}, "std='fixed': needs a Box"),
        (spaces.MultiDiscrete([2, 2]), {"log_std_bounds": (-1, 0)}, "log_std_bounds: needs a Box"),
        (spaces.Box(-np.inf, np.inf, (2,)), {"bounded_mean": True}, "finite action bounds"),
        (LANDER_ACTION, {"std": "wide"}, "std='wide' is unknown"),
        (LANDER_ACTION, {"activation_fn": "sine"}, "activation_fn='sine' is unknown"),
        (LANDER_ACTION, {"log_std_bounds": (0, -1)}, r"log_std_bounds=\(0, -1\)"),
        (LANDER_ACTION, {"log_std_bounds": (0,)}, "must be"),
        (LANDER_ACTION, {"log_std_bounds": (-1, 0), "std": "fixed"}, "a fixed std never moves"),
        (LANDER_ACTION, {"log_std_bounds": (-1, 0), "log_std_init": 0.5}, "log_std_init=0.5"),
        (LANDER_ACTION, {"value_scale": 0.0}, "value_scale=0.0"),
        (LANDER_ACTION, {"noise_correlation": 1.0}, "noise_correlation=1.0 must be at least 0 and below 1"),
        (LANDER_ACTION, {"noise_correlation": -0.5}, "noise_correlation=-0.5"),
        (LANDER_ACTION, {"noise_correlation": 0.5, "use_sde": True}, "noise_correlation: not available with use_sde"),
        (spaces.Discrete(3), {"noise_correlation": 0.5}, "noise_correlation: needs a Box"),
        (LANDER_ACTION, {"mirror": "moon"}, "mirror='moon' is unknown"),
        (spaces.Box(-1, 1, (3,)), {"mirror": "lunar_lander"}, "action_sign has 2 entries"),
        (LANDER_ACTION, {"mirror": "lunar_lander", "use_sde": True}, "mirror: not available with use_sde"),
        (LANDER_ACTION, {"bounded_mean": True, "use_sde": True}, "bounded_mean: not available with use_sde"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(
    action_space: spaces.Space, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(action_space, **options)


def test_allenacts_model_and_ours_agree_on_equal_weights() -> None:
    """The tutorial's model: MLPs (64, 32) with tanh, tanh on the mean, a Gaussian of fixed std 0.5."""

    def mlp(outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, outputs))

    actor, critic = nn.Sequential(mlp(2), nn.Tanh()), mlp(1)
    policy = make(
        net_arch={"pi": [64, 32], "vf": [64, 32]},
        bounded_mean=True,
        std="fixed",
        log_std_init=math.log(0.5),
        ortho_init=False,
    )
    for ours, theirs in (
        ((*policy.mlp_extractor.policy_net, policy.action_net), actor[0]),
        ((*policy.mlp_extractor.value_net, policy.value_net), critic),
    ):
        nn.Sequential(*ours).load_state_dict(theirs.state_dict())
    obs, actions = th.randn(20, 8), th.randn(20, 2)
    gaussian = th.distributions.Normal(actor(obs), 0.5 * th.ones(20, 2))
    values, log_prob, entropy = policy.evaluate_actions(obs, actions)
    th.testing.assert_close(policy.get_distribution(obs).mode(), gaussian.mean)
    th.testing.assert_close(values, critic(obs))
    th.testing.assert_close(log_prob, gaussian.log_prob(actions).sum(-1))
    th.testing.assert_close(entropy, gaussian.entropy().sum(-1))


def test_fast_asks_a_subclass_for_its_features() -> None:
    class Doubled(SeparateActorCriticPolicy):
        def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
            return 2.0 * super().extract_features(obs, features_extractor)

    policies = [
        cls(LANDER_OBS, LANDER_ACTION, lambda _: 1e-3, fast=True) for cls in (Doubled, SeparateActorCriticPolicy)
    ]
    policies[1].load_state_dict(policies[0].state_dict())
    obs = th.randn(5, 8)
    doubled, plain = (policy(obs, deterministic=True) for policy in policies)
    expected = policies[1](2.0 * obs, deterministic=True)
    assert all(th.equal(a, b) for a, b in zip(doubled, expected, strict=True))
    assert not th.equal(doubled[0], plain[0])


def test_a_rollout_computes_what_an_update_does() -> None:
    """Without gradients ``fast`` takes a shorter way."""
    policy = make(fast=True)
    obs = th.randn(5, 8)
    with th.no_grad():
        actions, values, log_prob = policy(obs)
    again, log_prob_again, _ = policy.evaluate_actions(obs, actions)
    assert th.equal(values, again)
    assert th.equal(log_prob, log_prob_again)
