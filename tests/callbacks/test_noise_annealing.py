"""AnnealActionNoise: when the action noise falls, how far, and for which algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sb3_contrib import TQC
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise

from sb3_lander.callbacks import AnnealActionNoise
from sb3_lander.envs import V3_ID

MEAN, STD = np.zeros(2), np.full(2, 0.5)


class One(ActionNoise):
    """A user's own noise, which is always 1."""

    def __call__(self) -> np.ndarray:
        return np.ones(2)


class Log(BaseCallback):
    """Keeps the noise of an environment in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, float] = {}

    def _on_step(self) -> bool:
        noise = self.model.action_noise  # type: ignore[attr-defined]  # an off-policy algorithm's
        self.seen[self.num_timesteps] = float(noise().flat[0])
        return True


def model_of(algorithm: Any = TD3, noise: ActionNoise | None = None, n_envs: int = 1) -> Any:
    env = make_vec_env(V3_ID, n_envs)
    options = {"buffer_size": 1000, "learning_starts": 10**6, "seed": 0, "device": "cpu"}
    return algorithm("MlpPolicy", env, action_noise=noise, **options)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_noise_falls_in_a_straight_line_and_is_whole_again_afterwards(n_envs: int) -> None:
    model, log = model_of(noise=One(), n_envs=n_envs), Log()
    model.learn(100, [AnnealActionNoise(end=0.2, since=0.2, until=0.6), log])
    # A step's noise is that of its rollout's start, one step of each environment before.
    expected = {20: 1.0, 20 + n_envs: 1.0, 40 + n_envs: 0.6, 50 + n_envs: 0.4, 60 + n_envs: 0.2, 100: 0.2}
    assert {step: log.seen[step] for step in expected} == pytest.approx(expected)
    assert model.action_noise().tolist() == np.ones((n_envs, 2)).squeeze().tolist()


@pytest.mark.parametrize("algorithm", [TD3, DDPG, SAC, TQC])
@pytest.mark.parametrize("noise", [NormalActionNoise, OrnsteinUhlenbeckActionNoise])
def test_every_off_policy_algorithm_explores_with_what_is_left_of_its_noise(algorithm: Any, noise: Any) -> None:
    model, log = model_of(algorithm, noise(MEAN, STD), n_envs=2), Log()
    model.learn(40, [AnnealActionNoise(end=0.0, since=0.0, until=0.5), log])
    assert log.seen[2] != 0.0
    assert log.seen[40] == 0.0


def test_a_training_without_it_is_the_same_bit_for_bit_until_the_noise_falls() -> None:
    observations = []
    for callback in (None, AnnealActionNoise(since=0.9, until=1.0)):
        model = model_of(noise=OrnsteinUhlenbeckActionNoise(MEAN, STD), n_envs=2)
        model.learning_starts = 0
        model.gradient_steps = 0
        model.learn(400, callback)
        observations.append(model.replay_buffer.observations[:180].copy())
    assert np.array_equal(*observations)
    assert np.ptp(observations[0]) > 0.0


@pytest.mark.parametrize("n_envs", [1, 2])
def test_a_checkpoint_takes_up_the_same_line(tmp_path: Path, n_envs: int) -> None:
    class Save(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 60:
                self.model.save(tmp_path / "checkpoint")
            return True

    model_of(noise=One(), n_envs=n_envs).learn(100, [AnnealActionNoise(end=0.0, since=0.2, until=0.8), Save()])
    model: Any = TD3.load(tmp_path / "checkpoint", env=make_vec_env(V3_ID, n_envs))
    log = Log()
    model.learn(40, [AnnealActionNoise(end=0.0, since=0.2, until=0.8), log], reset_num_timesteps=False)
    assert log.seen[60 + n_envs] == pytest.approx(1 / 3)
    assert log.seen[70 + n_envs] == pytest.approx(1 / 6)
    assert model.action_noise().flat[0] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": 1.5}, "end=1.5 must be a share of the noise"),
        ({"end": -0.1}, "end=-0.1 must be a share of the noise"),
        ({"since": 0.8}, "since=0.8 and until=0.8 must be shares of the budget"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnnealActionNoise(**options)


def test_algorithms_without_action_noise_are_refused() -> None:
    for model in (model_of(), PPO("MlpPolicy", V3_ID, device="cpu"), DQN("MlpPolicy", "CartPole-v1", buffer_size=100)):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no action_noise"):
            model.learn(1, AnnealActionNoise())
