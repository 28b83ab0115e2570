"""AverageWeights: which weights count, where the mean goes, and what a kill leaves of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import torch as th
from sb3_contrib import TRPO, CrossQ, RecurrentPPO
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_lander.agents import load_policy
from sb3_lander.callbacks import AverageWeights, CheckpointCallback
from sb3_lander.envs import V3_ID
from sb3_lander.policies import SeparateActorCriticPolicy

ON_POLICY = {"n_steps": 50, "seed": 0, "device": "cpu"}
OFF_POLICY = {"learning_starts": 20, "train_freq": 50, "buffer_size": 1000, "seed": 0, "device": "cpu"}


def weights(model: BaseAlgorithm) -> npt.NDArray[np.float64]:
    values = model.policy.state_dict().values()
    return np.concatenate([value.double().numpy().ravel() for value in values if value.is_floating_point()])


class Log(BaseCallback):
    """Keeps the weights at the start of each rollout, and can end the training at a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.seen: dict[int, npt.NDArray[np.float64]] = {}
        self.stop_at = stop_at

    def _on_rollout_start(self) -> None:
        self.seen[self.num_timesteps] = weights(self.model)

    # It comes first in the lists below, so these are the weights that learned.
    _on_training_end = _on_rollout_start

    def _on_step(self) -> bool:
        return self.num_timesteps != self.stop_at


def ppo(policy: Any = "MlpPolicy", **policy_kwargs: Any) -> PPO:
    return PPO(policy, V3_ID, batch_size=50, n_epochs=2, policy_kwargs=policy_kwargs, **ON_POLICY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        ppo,
        lambda: ppo(SeparateActorCriticPolicy, fast=True, mirror="lunar_lander"),
        lambda: A2C("MlpPolicy", V3_ID, **ON_POLICY),
        lambda: TRPO("MlpPolicy", V3_ID, batch_size=50, n_critic_updates=1, **ON_POLICY),
        lambda: RecurrentPPO("MlpLstmPolicy", V3_ID, batch_size=50, n_epochs=1, **ON_POLICY),
        lambda: SAC("MlpPolicy", V3_ID, **OFF_POLICY),
        lambda: TD3("MlpPolicy", V3_ID, **OFF_POLICY),
        lambda: CrossQ("MlpPolicy", V3_ID, policy_kwargs={"net_arch": [16]}, **OFF_POLICY),
    ],
    ids=["ppo", "fast", "a2c", "trpo", "ppo_lstm", "sac", "td3", "crossq"],
)
def test_a_training_ends_with_the_mean_of_its_last_weights_and_is_otherwise_the_same(make: Any) -> None:
    without, log = Log(), Log()
    make().learn(400, without)
    model = make().learn(400, [log, AverageWeights(since=0.5)])
    assert list(log.seen) == [*range(0, 400, 50), 400]
    for step, values in without.seen.items():
        assert np.array_equal(log.seen[step], values), step
    expected = np.mean([log.seen[step] for step in (200, 250, 300, 350, 400)], axis=0)
    assert weights(model) == pytest.approx(expected, abs=1e-6)
    assert not np.array_equal(weights(model), log.seen[400])
    assert not hasattr(model, "weight_average")


def test_the_mean_acts_trains_on_and_is_what_is_saved(tmp_path: Path) -> None:
    model = ppo(SeparateActorCriticPolicy, fast=True).learn(400, AverageWeights())
    model.save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    obs = np.zeros((3, 8), dtype=np.float32)
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    before = weights(model)
    model.learn(100, reset_num_timesteps=False)
    assert not np.array_equal(weights(model), before)


@pytest.mark.parametrize(("since", "steps"), [(0.5, (100, 150, 200)), (0.0, (0, 50, 100, 150, 200))])
def test_a_training_that_is_cut_short_keeps_its_weights_and_the_next_one_counts_anew(
    since: float, steps: tuple[int, ...]
) -> None:
    model, log = ppo(), Log(stop_at=330)
    model.learn(400, [log, AverageWeights(since)])
    assert np.array_equal(weights(model), log.seen[330])
    log = Log()
    model.learn(200, [log, AverageWeights(since)])
    assert weights(model) == pytest.approx(np.mean([log.seen[step] for step in steps], axis=0), abs=1e-6)


def test_a_checkpoint_holds_the_mean_so_far_and_a_resumed_training_takes_it_up(tmp_path: Path) -> None:
    log = Log(stop_at=330)
    ppo().learn(400, [log, AverageWeights(since=0.5), CheckpointCallback(every=300, folder=tmp_path)])
    checkpoint = tmp_path / "rl_model_300_steps.zip"
    model, rest = PPO.load(checkpoint, gym.make(V3_ID), device="cpu"), Log()
    model.learn(100, [rest, AverageWeights(since=0.5)], reset_num_timesteps=False)
    # Saved within the rollout that started at 250 steps.
    seen = [log.seen[200], log.seen[250], *(rest.seen[step] for step in (300, 350, 400))]
    assert weights(model) == pytest.approx(np.mean(seen, axis=0), abs=1e-6)
    # Whoever loads the checkpoint without unpickling gets the weights that learned.
    policy = load_policy(checkpoint).state_dict()
    assert all(th.equal(policy[name], value) for name, value in PPO.load(checkpoint).policy.state_dict().items())


@pytest.mark.parametrize("since", [-0.1, 1.0])
def test_a_share_that_makes_no_sense_is_refused(since: float) -> None:
    with pytest.raises(ValueError, match=f"since={since} must be a share of the budget"):
        AverageWeights(since)
