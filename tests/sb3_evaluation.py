"""The tasks of a report, played by SB3's own evaluation on this machine."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sb3_lander import EvaluationReport


def assert_flies_as_with_sb3(report: EvaluationReport, model: BaseAlgorithm, statistics: Path | None = None) -> None:
    """Compare every flight of a report made with ``batch_size=1``: one other bit of an action leads elsewhere.

    :param statistics: The file of the ``VecNormalize`` that the model was trained with.
    """
    for episode in report.episodes:
        env: VecEnv = DummyVecEnv([lambda: gym.make(report.env_id)])
        if statistics is not None:
            env = VecNormalize.load(str(statistics), env)
            env.training = env.norm_reward = False
        env.seed(episode.seed)
        returns, lengths = evaluate_policy(model, env, 1, return_episode_rewards=True, warn=False)
        assert lengths == [episode.length]
        # DummyVecEnv rounds each reward to float32.
        assert returns == pytest.approx([episode.episode_return], abs=1e-3)
