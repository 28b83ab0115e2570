"""``fast`` against the plain policy and against SB3's own: whatever a user does to a policy, both do the same."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from torch import nn

from sb3_lander.agents import shipped_agent
from sb3_lander.policies import SeparateActorCriticPolicy
from sb3_lander.policies.fused_adam import FusedAdam
from sb3_lander.runs.run import Run

OBS, ACTION = spaces.Box(-1.0, 1.0, (8,)), spaces.Box(-1.0, 1.0, (2,))
Policy = ActorCriticPolicy


class Groups(th.optim.Adam):
    """An optimizer that makes groups of its own, with a ``fused`` argument."""

    def __init__(self, params: Any, lr: float, fused: bool | None = None) -> None:
        params = list(params)
        super().__init__([{"params": params[:3]}, {"params": params[3:], "lr": 2 * lr}], lr=lr, fused=fused)


class Tripled(MlpExtractor):
    """An extractor whose forward does more than its layers."""

    def forward_actor(self, features: th.Tensor) -> th.Tensor:
        return 3.0 * super().forward_actor(features)


class Trunk(nn.Module):
    """An extractor with a trunk that actor and critic share."""

    latent_dim_pi = latent_dim_vf = 6

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.calls = nn.Linear(8, 6), 0

    def forward(self, features: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        self.calls += 1
        latent = th.tanh(self.trunk(features))
        return latent, latent

    def forward_actor(self, features: th.Tensor) -> th.Tensor:
        return self(features)[0]

    def forward_critic(self, features: th.Tensor) -> th.Tensor:
        return self(features)[1]


class Halved(BaseFeaturesExtractor):
    """A features extractor of the user's own."""

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, 4)
        self.layer = nn.Linear(8, 4)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return th.tanh(self.layer(observations))


def with_extractor(make: Callable[[Policy], nn.Module]) -> Callable[[type[Policy]], type[Policy]]:
    def subclass(base: type[Policy]) -> type[Policy]:
        def build(self: Any) -> None:
            self.mlp_extractor = make(self)

        return type("Own", (base,), {"_build_mlp_extractor": build})

    return subclass


def with_shifted_actions(base: type[Policy]) -> type[Policy]:
    def shifted(self: Any, latent_pi: th.Tensor) -> Any:
        mean = self.action_net(latent_pi) + 0.5
        return self.action_dist.proba_distribution(mean, self.log_std)

    return type("Own", (base,), {"_get_action_dist_from_latent": shifted})


def with_doubled_features(base: type[Policy]) -> type[Policy]:
    def extract(self: Any, obs: Any, features_extractor: Any = None) -> Any:
        features = base.extract_features(self, obs, features_extractor)
        return tuple(2.0 * f for f in features) if isinstance(features, tuple) else 2.0 * features

    return type("Own", (base,), {"extract_features": extract})


def with_own_optimizer(base: type[Policy]) -> type[Policy]:
    def build(self: Any, lr_schedule: Any) -> None:
        base._build(self, lr_schedule)
        self.optimizer = th.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    return type("Own", (base,), {"_build": build})


SUBCLASSES: list[Callable[[type[Policy]], type[Policy]]] = [
    lambda base: base,
    with_extractor(lambda p: Tripled(p.features_dim, [6], nn.ReLU, "cpu")),
    with_extractor(lambda _: Trunk()),
    with_shifted_actions,
    with_doubled_features,
    with_own_optimizer,
]


def replace_action_net(policy: Policy) -> None:
    policy.action_net = nn.Sequential(nn.Linear(policy.mlp_extractor.latent_dim_pi, 2), nn.Tanh())
    policy.optimizer = th.optim.Adam(policy.parameters(), lr=0.01)


def replace_hidden_layer(policy: Policy) -> None:
    net = getattr(policy.mlp_extractor, "value_net", None)
    if net:
        net[0] = nn.Sequential(nn.LayerNorm(net[0].in_features), nn.Linear(net[0].in_features, net[0].out_features))
        policy.optimizer = th.optim.AdamW(policy.parameters(), lr=0.01)


def replace_features_extractor(policy: Policy) -> None:
    for name in ("features_extractor", "pi_features_extractor", "vf_features_extractor"):
        getattr(policy, name).register_forward_hook(lambda _module, _inputs, output: output + 0.1)


def hook_layers(policy: Policy) -> None:
    for module in (policy.action_net, *policy.mlp_extractor.modules()):
        if isinstance(module, nn.Linear | nn.Tanh):
            module.register_forward_hook(lambda _module, _inputs, output: 1.5 * output)


def freeze_actor(policy: Policy) -> None:
    policy.action_net.requires_grad_(False)
    policy.mlp_extractor.requires_grad_(False)


def freeze_at_random(policy: Policy) -> None:
    for i, parameter in enumerate(policy.parameters()):
        parameter.requires_grad = i % 3 != 1


def own_optimizer_by_name(policy: Policy) -> None:
    named = dict(policy.named_parameters())
    policy.optimizer = th.optim.SGD(
        [
            {"params": [p for n, p in named.items() if "value" in n], "lr": 0.1},
            {"params": [p for n, p in named.items() if "value" not in n]},
        ],
        lr=0.01,
    )


def add_group(policy: Policy) -> None:
    policy.register_parameter("extra", nn.Parameter(th.ones(2)))
    policy.optimizer.add_param_group({"params": [policy.extra]})
    policy.action_net.register_forward_hook(lambda _module, _inputs, output: output * policy.extra)


def load_a_vector(policy: Policy) -> None:
    policy.load_from_vector(0.9 * policy.parameters_to_vector())


CHANGES: list[Callable[[Policy], Any]] = [
    lambda _: None,
    replace_action_net,
    replace_hidden_layer,
    replace_features_extractor,
    hook_layers,
    freeze_actor,
    freeze_at_random,
    own_optimizer_by_name,
    add_group,
    load_a_vector,
    lambda policy: policy.set_training_mode(False),
]
OPTIMIZERS: list[dict[str, Any]] = [
    {},
    {"optimizer_kwargs": {"foreach": True}},
    {"optimizer_kwargs": {"fused": True, "eps": 1e-5}},
    {"optimizer_kwargs": {"weight_decay": 0.1, "amsgrad": True}},
    {"optimizer_class": th.optim.AdamW},
    {"optimizer_class": th.optim.SGD, "optimizer_kwargs": {"momentum": 0.9}},
    {"optimizer_class": th.optim.RMSprop},
    {"optimizer_class": Groups},
]
ACTIVATIONS: list[Any] = [nn.Tanh, nn.ReLU, nn.ELU, functools.partial(nn.LeakyReLU, 0.2), lambda: nn.Softplus(2.0)]
ARCHITECTURES: list[Any] = [None, [], [7], {"pi": [5, 6], "vf": [9]}, {"pi": [], "vf": [4]}]
OWN_OPTIONS: list[dict[str, Any]] = [
    {},
    {"bounded_mean": True, "value_scale": 10.0},
    {"std": "fixed"},
    {"std": "state_dependent", "log_std_bounds": (-1.0, 0.5)},
    {"log_std_bounds": (-0.01, 0.5)},
]


def build(cls: type[Policy], options: dict[str, Any]) -> Policy:
    th.manual_seed(0)
    # Stock's own constructor is not to share the dictionary.
    return cls(OBS, ACTION, lambda _: 0.01, **copy.deepcopy(options))


def train(policy: Policy, n: int = 4) -> None:
    """Make some updates as PPO does."""
    generator = th.Generator().manual_seed(3)
    for _ in range(n):
        obs, actions = th.randn(20, 8, generator=generator), th.randn(20, 2, generator=generator)
        values, log_prob, entropy = policy.evaluate_actions(obs, actions)
        assert entropy is not None
        loss = (values - 1.0).square().mean() - (log_prob * obs[:, 0]).mean() - 0.1 * entropy.mean()
        policy.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        policy.optimizer.step()


def outputs(policy: Policy) -> list[th.Tensor]:
    obs = th.linspace(-2, 2, 40).view(5, 8)
    th.manual_seed(5)
    with th.no_grad():
        return [*policy(obs), policy.predict_values(obs), policy.get_distribution(obs).mode()]


def check_same(ours: Policy, theirs: Policy, tolerance: float = 1e-4) -> None:
    states = ours.state_dict(), theirs.state_dict()
    assert states[0].keys() == states[1].keys()
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    pairs = [(states[0][name], states[1][name]) for name in states[1]]
    for a, b in [*pairs, *zip(outputs(ours), outputs(theirs), strict=True)]:
        th.testing.assert_close(a, b, atol=tolerance, rtol=10 * tolerance)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_done_fast_and_plain_do_the_same(seed: int) -> None:
    choose = np.random.default_rng(seed)

    def one_of(choices: list[Any]) -> Any:
        return choices[choose.integers(len(choices))]

    subclass, own = one_of(SUBCLASSES), one_of(OWN_OPTIONS)
    if subclass is with_shifted_actions:
        own = {}
    options = {"activation_fn": one_of(ACTIVATIONS), "net_arch": one_of(ARCHITECTURES), **one_of(OPTIMIZERS)}
    if choose.random() < 0.3:
        options |= {"features_extractor_class": Halved, "share_features_extractor": bool(choose.random() < 0.5)}
        if subclass is SUBCLASSES[2]:
            subclass = SUBCLASSES[0]
    elif not own and choose.random() < 0.5 and subclass is SUBCLASSES[0]:
        own = {"mirror": "lunar_lander"}
    changes = [one_of(CHANGES) for _ in range(2)]
    kinds: list[tuple[type[Policy], dict[str, Any]]] = [
        (SeparateActorCriticPolicy, {**options, **own, "fast": fast}) for fast in (True, False)
    ]
    if not own:
        kinds.append((ActorCriticPolicy, options))
    policies = []
    for base, arguments in kinds:
        policy = build(subclass(base), arguments)
        train(policy)
        for i, change in enumerate(changes):
            if i == 0 or change is not changes[0]:
                th.manual_seed(1)
                change(policy)
                train(policy)
        policies.append(policy)
    for other in policies[1:]:
        check_same(policies[0], other)
    if not own:
        check_same(policies[1], policies[2], tolerance=0.0)


def test_a_shared_trunk_runs_once_and_gives_sb3s_values_bit_for_bit() -> None:
    policy, stock = (build(SUBCLASSES[2](base), {}) for base in (SeparateActorCriticPolicy, ActorCriticPolicy))
    train(policy)
    train(stock)
    check_same(policy, stock, tolerance=0.0)
    before = policy.mlp_extractor.calls
    policy.evaluate_actions(th.randn(3, 8), th.randn(3, 2))
    assert policy.mlp_extractor.calls == before + 1


def test_a_mirror_does_not_go_with_a_distribution_of_the_users_own() -> None:
    with pytest.raises(ValueError, match="mirror and noise_correlation need our _get_action_dist_from_latent"):
        build(with_shifted_actions(SeparateActorCriticPolicy), {"mirror": "lunar_lander"})


def test_an_override_on_the_policy_itself_is_called_with_what_stock_gives_it() -> None:
    obs, actions = th.randn(4, 8), th.zeros(4, 2)
    for fast in (True, False):
        policy = build(SeparateActorCriticPolicy, {"fast": fast})
        own, widths = policy._get_action_dist_from_latent, list[int]()

        def noted(latent: th.Tensor, own: Any = own, widths: list[int] = widths) -> Any:
            widths.append(latent.shape[1])
            return own(latent)

        expected = policy.evaluate_actions(obs, actions)[1]
        policy._get_action_dist_from_latent = noted
        th.testing.assert_close(policy.evaluate_actions(obs, actions)[1], expected)
        policy(obs)
        assert widths == [policy.mlp_extractor.latent_dim_pi] * 2


def test_parameters_are_those_of_torch_in_their_order() -> None:
    policy = build(SeparateActorCriticPolicy, {"fast": True})
    policy.again = policy.action_net  # a module with two names has its parameters once
    policy.extra = nn.Module()
    policy.extra.unused = nn.Linear(2, 2, bias=False)
    for recurse in (True, False):
        ours, theirs = policy.parameters(recurse), nn.Module.parameters(policy, recurse)
        assert [id(p) for p in ours] == [id(p) for p in theirs]

    class ActorOnly(SeparateActorCriticPolicy):
        def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
            return ((n, p) for n, p in super().named_parameters(*args, **kwargs) if "value" not in n)

    actor_only = build(ActorOnly, {"fast": True})
    assert len(list(actor_only.parameters())) == 7


def test_behaviour_cloning_with_an_optimizer_of_ones_own_moves_the_weights() -> None:
    policies = [build(SeparateActorCriticPolicy, {"fast": fast}) for fast in (True, False)]
    obs, actions = th.randn(64, 8), th.ones(64, 2)
    for policy in policies:
        optimizer = th.optim.Adam(policy.parameters(), lr=0.01)
        for _ in range(30):
            policy.zero_grad()
            assert all(p.grad is None for p in policy.parameters())
            (-policy.evaluate_actions(obs, actions)[1].mean()).backward()
            optimizer.step()
        assert policy.get_distribution(obs).mode().mean() > 0.3
    check_same(*policies, tolerance=1e-3)


def test_autocast_and_torch_func_work_on_a_whole_policy() -> None:
    fast, plain = (build(SeparateActorCriticPolicy, {"fast": fast, "activation_fn": "relu"}) for fast in (True, False))
    obs, actions = th.randn(6, 8), th.randn(6, 2)
    with th.autocast("cpu", dtype=th.bfloat16):
        for a, b in zip(fast.evaluate_actions(obs, actions), plain.evaluate_actions(obs, actions), strict=True):
            assert a is not None
            assert a.dtype is b.dtype
            assert th.equal(a, b)

    def value(policy: Policy, parameters: dict[str, th.Tensor]) -> th.Tensor:
        with th.nn.utils.stateless._reparametrize_module(policy, parameters):
            return policy.predict_values(obs).sum()

    gradients = [
        th.func.grad(functools.partial(value, policy))(dict(policy.named_parameters())) for policy in (fast, plain)
    ]
    for name, gradient in gradients[1].items():
        th.testing.assert_close(gradients[0][name], gradient)


def test_a_hook_on_any_module_is_called_as_often_as_in_sb3() -> None:
    counts = []
    for base, options in ((SeparateActorCriticPolicy, {"fast": True}), (ActorCriticPolicy, {})):
        policy, calls = build(base, options), dict[str, int]()

        def count(_module: nn.Module, _inputs: Any, _output: Any, *, name: str, calls: dict[str, int] = calls) -> None:
            calls[name] = calls.get(name, 0) + 1

        for name, module in policy.named_modules():
            module.register_forward_hook(functools.partial(count, name=name))
        train(policy, 2)
        outputs(policy)
        counts.append(calls)
    assert counts[0] == counts[1]
    assert len(counts[0]) >= 10


def test_part_of_a_policy_is_saved_without_the_rest() -> None:
    policy = build(SeparateActorCriticPolicy, {"fast": True, "net_arch": [512, 512]})
    train(policy)
    file = io.BytesIO()
    th.save(policy.action_net.state_dict(), file)
    assert len(file.getvalue()) < 10_000


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
def test_a_copy_trains_on_its_own(copied: Callable[[Policy], Policy]) -> None:
    policies = []
    for fast in (True, False):
        policy = SeparateActorCriticPolicy(OBS, ACTION, float, fast=fast, activation_fn="relu")
        policy.load_state_dict(build(SeparateActorCriticPolicy, {}).state_dict())
        train(policy)
        before = {name: value.clone() for name, value in policy.state_dict().items()}
        outputs(policy)  # torch copies no tensor with a graph, in SB3's distribution neither
        other = copied(policy)
        train(other)
        assert all(th.equal(value, before[name]) for name, value in policy.state_dict().items())
        policies.append(other)
    check_same(*policies, tolerance=1e-3)


def model(policy: type[Policy], **options: Any) -> PPO:
    env = gym.make("LunarLanderContinuous-v3")
    settings: dict[str, Any] = {"n_steps": 32, "batch_size": 16, "n_epochs": 2, "seed": 1, "device": "cpu"}
    return PPO(policy, env, policy_kwargs=options, **settings)


KINDS: dict[str, tuple[type[Policy], dict[str, Any]]] = {
    "fast": (SeparateActorCriticPolicy, {"fast": True}),
    "plain": (SeparateActorCriticPolicy, {}),
    "stock": (ActorCriticPolicy, {}),
}


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_parameters_and_optimizer_states_can_be_exchanged(one: str, other: str) -> None:
    trained = [model(KINDS[kind][0], **KINDS[kind][1]).learn(64) for kind in (one, "stock")]
    loaded = model(KINDS[other][0], **KINDS[other][1])
    loaded.set_parameters(copy.deepcopy(trained[0].get_parameters()))
    for each in (loaded, trained[1]):
        each.set_random_seed(7)
        each.learn(64)
    for name, value in trained[1].policy.state_dict().items():
        th.testing.assert_close(loaded.policy.state_dict()[name], value, atol=1e-4, rtol=1e-3)
    states = [each.policy.optimizer.state_dict() for each in (loaded, trained[1])]
    assert states[0]["param_groups"] == states[1]["param_groups"]


@pytest.mark.parametrize("saved", [True, False])
def test_fast_can_be_changed_at_loading(saved: bool, tmp_path: Path) -> None:
    model(SeparateActorCriticPolicy, fast=saved).learn(64).save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", custom_objects={"policy_kwargs": {"fast": not saved}}, device="cpu")
    assert loaded.policy.fast is not saved
    assert isinstance(loaded.policy.optimizer, FusedAdam) is not saved
    again = PPO.load(tmp_path / "model.zip", device="cpu")
    for each in (loaded, again):
        each.set_env(gym.make("LunarLanderContinuous-v3"))
        each.set_random_seed(7)
        each.learn(64)
    for name, value in again.policy.state_dict().items():
        th.testing.assert_close(loaded.policy.state_dict()[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("fast", [True, False])
def test_the_agent_that_ships_can_be_trained_on_with_its_optimizers_state(fast: bool) -> None:
    """Its file is of a version that kept one tensor of all parameters."""
    file = Run.load(shipped_agent("ppo")).final_model
    assert file is not None
    data = PPO.load(file, device="cpu").policy_kwargs
    loaded = PPO.load(file, device="cpu", custom_objects={"policy_kwargs": {**data, "fast": fast}})
    state = loaded.policy.optimizer.state_dict()
    (group,) = state["param_groups"]
    assert len(group["params"]) == len(list(loaded.policy.parameters())) == len(state["state"]) > 10
    assert not group["fused"]
    flat = th.cat([s["exp_avg"].flatten() for s in state["state"].values()])
    _, saved, _ = load_from_zip_file(file, device="cpu")
    assert saved is not None
    old = saved["policy.optimizer"]["state"][0]
    assert th.equal(flat, old["exp_avg"].flatten())
    assert {float(s["step"]) for s in state["state"].values()} == {float(old["step"])}
    train(loaded.policy)


def test_a_frozen_actor_of_the_agent_that_ships_does_not_move() -> None:
    file = Run.load(shipped_agent("ppo")).final_model
    assert file is not None
    loaded = PPO.load(file, device="cpu")
    freeze_actor(loaded.policy)
    before = copy.deepcopy(loaded.policy.state_dict())
    train(loaded.policy, 20)
    for name, value in loaded.policy.state_dict().items():
        assert th.equal(value, before[name]) == name.startswith(("mlp_extractor", "action_net")), name
