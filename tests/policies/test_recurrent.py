"""The fast LSTM policy against sb3-contrib's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.torch_layers import CombinedExtractor

from sb3_lander.policies import FastLstmPolicy

SMALL: dict[str, Any] = {"lstm_hidden_size": 8, "net_arch": {"pi": [8], "vf": [8]}}


class Short(gym.Env[Any, Any]):
    """Episodes of seven steps with random observations."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), float(np.sum(action)), self.steps == 7, False, {}


BOX, TWO = spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-1.0, 1.0, (2,))
KINDS: dict[str, tuple[spaces.Space[Any], spaces.Space[Any], dict[str, Any]]] = {
    "two LSTMs": (BOX, TWO, {}),
    "a critic without": (BOX, TWO, {"enable_critic_lstm": False}),
    "shared, two layers": (BOX, TWO, {"shared_lstm": True, "enable_critic_lstm": False, "n_lstm_layers": 2}),
    "four actions": (BOX, spaces.Discrete(4), {}),
    "dictionaries": (spaces.Dict({"a": BOX, "b": TWO}), TWO, {"features_extractor_class": CombinedExtractor}),
}


def model_of(kind: str, policy: Any) -> RecurrentPPO:
    observation_space, action_space, kwargs = KINDS[kind]
    env = Short(observation_space, action_space)
    return RecurrentPPO(policy, env, n_steps=64, batch_size=32, seed=3, policy_kwargs={**SMALL, **kwargs})


def stock_of(kind: str) -> Any:
    return "MultiInputLstmPolicy" if kind == "dictionaries" else "MlpLstmPolicy"


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_ends_where_one_with_sb3_contribs_policy_does(kind: str) -> None:
    ours, theirs = model_of(kind, FastLstmPolicy).learn(192), model_of(kind, stock_of(kind)).learn(192)
    weights = theirs.policy.state_dict()
    assert ours.policy.state_dict().keys() == weights.keys()
    for name, weight in ours.policy.state_dict().items():
        th.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_has_the_same_values_probabilities_and_gradients(kind: str) -> None:
    ours, theirs = model_of(kind, FastLstmPolicy).learn(64), model_of(kind, stock_of(kind))
    theirs.policy.load_state_dict(ours.policy.state_dict())
    (batch, *_) = ours.rollout_buffer.get(64)
    assert 1 < batch.episode_starts.sum() < 64  # several sequences begin an episode
    gradients = []
    for model in (ours, theirs):
        model.policy.zero_grad()  # what an update leaves
        actions = batch.actions.long().flatten() if kind == "four actions" else batch.actions
        found = model.policy.evaluate_actions(batch.observations, actions, batch.lstm_states, batch.episode_starts)
        sum(part.mean() for part in found).backward()
        gradients.append([p.grad for p in model.policy.parameters()] + [part.detach() for part in found])
    for mine, yours in zip(*gradients, strict=True):
        th.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-6)


def test_an_update_calls_torchs_lstm_once_and_not_once_for_each_step() -> None:
    calls = {}
    for policy in (FastLstmPolicy, "MlpLstmPolicy"):
        model = model_of("a critic without", policy).learn(64)
        (batch, *_) = model.rollout_buffer.get(64)
        lengths: list[int] = []
        model.policy.lstm_actor.register_forward_pre_hook(lambda _, inputs, seen=lengths: seen.append(len(inputs[0])))
        model.policy.evaluate_actions(batch.observations, batch.actions, batch.lstm_states, batch.episode_starts)
        calls[policy] = lengths
    assert calls == {FastLstmPolicy: [7], "MlpLstmPolicy": [1] * 7}


def test_an_episode_that_begins_within_a_sequence_begins_with_an_empty_memory() -> None:
    policy = model_of("two LSTMs", FastLstmPolicy).policy
    obs, none = th.rand(5, 3), th.zeros(1, 1, 8)
    starts = th.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    whole = policy.predict_values(obs, (none + 0.3, none - 0.2), starts)
    th.testing.assert_close(whole[2:], policy.predict_values(obs[2:], (none, none), th.zeros(3)))
    again = policy.evaluate_actions(obs, th.zeros(5, 2), RNNStates((none, none), (none + 0.3, none - 0.2)), starts)[0]
    th.testing.assert_close(again, whole)


def test_an_activation_has_a_name_that_a_yaml_can_hold() -> None:
    env = Short(BOX, TWO)
    named = RecurrentPPO(FastLstmPolicy, env, policy_kwargs={**SMALL, "activation_fn": "relu"}).policy
    assert type(named.mlp_extractor.policy_net[1]) is th.nn.ReLU
    with pytest.raises(ValueError, match="activation_fn='rely' is unknown"):
        RecurrentPPO(FastLstmPolicy, env, policy_kwargs={**SMALL, "activation_fn": "rely"})


def test_it_is_saved_loaded_and_predicts_with_its_memory(tmp_path: Path) -> None:
    model = model_of("two LSTMs", FastLstmPolicy).learn(64)
    model.save(tmp_path / "model.zip")
    loaded = RecurrentPPO.load(tmp_path / "model.zip")
    assert type(loaded.policy) is FastLstmPolicy
    obs, states = np.ones((1, 3), np.float32), []
    for one in (model, loaded):
        _, state = one.predict(obs, deterministic=True)
        states.append(one.predict(obs, state, np.array([False]), deterministic=True))
    np.testing.assert_array_equal(states[0][0], states[1][0])
    np.testing.assert_array_equal(states[0][1], states[1][1])
