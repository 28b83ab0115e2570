"""Load what a trusted author saved, as SB3 and the RL Zoo do: by unpickling, which runs code of the file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize


def algorithm_of(settings: Mapping[str, Any]) -> str:
    """Tell the Zoo's name of the algorithm from a model's settings, which do not name it; TD3 with DDPG's is ``ddpg``.

    :param settings: What :func:`~sb3_lander.runs.archive.read_settings` returns.
    :raises ValueError: If they are none of the Zoo's algorithms'.
    """
    policy = settings.get("policy_class")
    policy = policy if isinstance(policy, dict) else {}
    module = str(policy.get("__module__"))
    ddpg = (settings.get("policy_delay"), settings.get("target_noise_clip")) == (1, 0.0)
    # Each line names what none of the lines below it has.
    signs = [
        ("trpo", "cg_max_steps" in settings),
        ("ars", "n_delta" in settings),
        ("ppo_lstm", "recurrent" in module or "_process_sequence" in policy),
        ("ppo", "clip_range" in settings),
        ("a2c", "gae_lambda" in settings),
        ("tqc", "top_quantiles_to_drop_per_net" in settings),
        ("crossq", "crossq" in module),
        ("ddpg", "target_policy_noise" in settings and ddpg),
        ("td3", "target_policy_noise" in settings),
        ("sac", "target_entropy" in settings),
        ("qrdqn", "qrdqn" in module),
        ("dqn", "exploration_fraction" in settings),
    ]
    if found := next((algo for algo, has_its_sign in signs if has_its_sign), None):
        return found
    raise ValueError("its settings are those of no algorithm of the Zoo: name the algorithm")


def load_policy(path: Path, algo: str) -> BasePolicy:
    """Load a model as the Zoo's ``enjoy`` does, on the CPU, and return its policy. This unpickles.

    :param algo: The Zoo's name of the algorithm.
    :raises ValueError: If the name is unknown or the file is damaged.
    """
    from rl_zoo3.utils import ALGOS

    if algo not in ALGOS:
        raise ValueError(f"the algorithm {algo!r} is unknown; valid: {', '.join(ALGOS)}")
    # Schedules may be pickled functions of another Python version; acting needs none of them.
    unneeded = {"learning_rate": 0.0, "lr_schedule": lambda _: 0.0, "clip_range": lambda _: 0.0}
    options: dict[str, Any] = {"device": "cpu", "custom_objects": unneeded}
    if issubclass(ALGOS[algo], OffPolicyAlgorithm):
        options |= {"buffer_size": 1, "optimize_memory_usage": False}
        options |= {"replay_buffer_class": None, "replay_buffer_kwargs": {}}
    try:
        model = ALGOS[algo].load(path, **options)
    # Damage and missing classes show in any way while unpickling.
    except Exception as error:
        raise ValueError(f"cannot load {path} as {algo}: {type(error).__name__}: {error}") from error
    policy: BasePolicy = model.policy
    return policy


def load_statistics(path: Path, venv: VecEnv) -> VecNormalize:
    """Load ``VecNormalize`` statistics, frozen. This unpickles.

    :param path: What SB3's ``VecNormalize.save`` wrote.
    :param venv: Environments as the model sees them.
    :raises ValueError: If the file is damaged or does not fit the environment.
    """
    try:
        statistics = VecNormalize.load(str(path), venv)
    except (AssertionError, AttributeError, EOFError, ImportError, IndexError, pickle.UnpicklingError) as error:
        raise ValueError(f"cannot load {path}: {error or type(error).__name__}") from error
    statistics.training = False
    return statistics
