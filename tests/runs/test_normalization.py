"""Statistics in a plain form normalise as SB3's own do, to the last bit, and refuse what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.envs import SimpleMultiObsEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander.runs import normalization


def lander() -> DummyVecEnv:
    return DummyVecEnv([lambda: gym.make("LunarLanderContinuous-v3")])


def multi() -> DummyVecEnv:
    return DummyVecEnv([SimpleMultiObsEnv])


def trained(venv: DummyVecEnv, **options: Any) -> tuple[VecNormalize, Any]:
    """Return statistics of 30 random steps, and the last raw observation."""
    statistics = VecNormalize(venv, **options)
    statistics.action_space.seed(0)
    statistics.seed(0)
    statistics.reset()
    for _ in range(30):
        statistics.step(np.array([statistics.action_space.sample()]))
    return statistics, statistics.get_original_obs()


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lander, {"clip_obs": 1.5, "epsilon": 1e-3}),
        (lander, {"norm_obs": False}),
        (multi, {"norm_obs_keys": ["vec"]}),
    ],
)
def test_what_was_saved_normalises_alike(make: Any, options: dict[str, Any], tmp_path: Path) -> None:
    statistics, raw = trained(make(), **options)
    file = normalization.beside(tmp_path / "model.zip")
    normalization.save(statistics, file)
    assert file.name == "model.vecnormalize.npz"
    loaded = normalization.load(file, make())
    expected, found = statistics.normalize_obs(raw), loaded.normalize_obs(raw)
    if not isinstance(raw, dict):
        expected, found = {"": expected}, {"": found}
    assert {key: array.tobytes() for key, array in found.items()} == {
        key: array.tobytes() for key, array in expected.items()
    }
    assert not loaded.training


def test_statistics_of_other_observations_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.vecnormalize.npz"
    normalization.save(trained(lander())[0], file)
    with pytest.raises(ValueError, match=r"its observations have the shape \(8,\), the environment's \(3,\)"):
        normalization.load(file, DummyVecEnv([lambda: gym.make("Pendulum-v1")]))
    with pytest.raises(ValueError, match="cannot read the normalisation statistics"):
        normalization.load(file, multi())
