"""Train on an environment of your own choice with this package's parts, and evaluate on fixed tasks."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
from stable_baselines3 import PPO

from sb3_lander import (
    BatchedSubprocVecEnv,
    EvaluationReport,
    SeparateActorCriticPolicy,
    SuccessWrapper,
    evaluate,
    fixed_tasks,
)
from sb3_lander.callbacks import CheckpointCallback, ShortEpisodes
from sb3_lander.evaluation import Episode


def make_env() -> gym.Env[object, object]:
    """Make one environment, with the flag that SB3 counts successes by."""
    return SuccessWrapper(gym.make("Pendulum-v1"), threshold=-300.0)


def train(steps: int, folder: Path) -> PPO:
    """Train with the policy's options, in two processes."""
    env = BatchedSubprocVecEnv([make_env] * 8, n_workers=2)
    options: dict[str, object] = {"bounded_mean": True, "activation_fn": "relu", "fast": True}
    model = PPO(SeparateActorCriticPolicy, env, n_steps=128, policy_kwargs=options, device="cpu", seed=0)
    callbacks = [CheckpointCallback(every=10_000, folder=folder), ShortEpisodes(100, until=0.5)]
    model.learn(steps, callback=callbacks)
    env.close()
    return model


def worst(report: EvaluationReport) -> Episode:
    """Return the episode with the lowest return."""
    return min(report.episodes, key=lambda episode: episode.episode_return)


def main(steps: int = 100_000) -> None:
    """Train, evaluate and print."""
    model = train(steps, Path("checkpoints"))
    report = evaluate(model, fixed_tasks("Pendulum-v1", 20), success_threshold=-300.0)
    print(report)
    print(f"worst: seed {worst(report).seed}, return {worst(report).episode_return:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
