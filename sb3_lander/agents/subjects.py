"""Which saved models to evaluate, and how to load those that are trusted."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander.runs.archive import read_settings
from sb3_lander.runs.run import Checkpoint, Run

__all__ = ["Subject", "algorithm_of", "find_subjects", "load_model", "load_statistics", "run_of", "thin_out"]


@dataclass(frozen=True)
class Subject:
    """One saved model."""

    model: Path
    """Its ``.zip``."""

    step: int
    """Environment steps that had been taken when it was saved."""

    vecnormalize: Path | None = None
    """The statistics for its observations (a pickle), None where they are not normalised."""

    borrowed: bool = False
    """Whether the statistics are the run's latest, for lack of the model's own. The Zoo saves none with a
    checkpoint, and its ``enjoy --load-checkpoint`` takes the latest too."""

    start_time: int | None = None
    """When the training began, in ns since the epoch; None if the model does not say."""


def run_of(path: Path) -> Run | None:
    """Return the run that a folder is, or that a ``.zip`` lies in; None for a ``.zip`` on its own.

    :raises FileNotFoundError: If there is no such file, or the folder is no run.
    :raises ValueError: If the run's YAML files are damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give a run folder of the RL Zoo, or a model's .zip")
    if path.is_dir():
        return Run.load(path)
    return Run.load(path.parent) if any(path.parent.glob("*/args.yml")) else None


def find_subjects(
    path: Path, run: Run | None, *, checkpoints: bool = False, every: int | None = None, best: bool = False
) -> list[Subject]:
    """Choose the models, and pair each with its statistics.

    :param path: A run folder, whose final model is taken, or a ``.zip``.
    :param run: What :func:`run_of` says of it.
    :param checkpoints: Take every checkpoint of the run instead, in the order of their steps.
    :param every: Keep of these the ones closest to the multiples of so many steps, see :func:`thin_out`.
    :param best: Take the run's ``best_model.zip`` instead.
    :raises FileNotFoundError: If the run has no such model, or lacks the statistics that it needs.
    :raises ValueError: If the options contradict each other, or a model is damaged.
    """
    if checkpoints and best:
        raise ValueError("checkpoints and best exclude each other: the best model is one model")
    if every is not None and not checkpoints:
        raise ValueError(f"every={every} thins out the checkpoints: ask for checkpoints too")
    if not path.is_dir():
        if checkpoints or best:
            raise ValueError(f"{path} is one model: checkpoints and best need a run folder")
        return [_subject(path, run)]
    assert run is not None
    if checkpoints:
        if not run.checkpoints:
            raise FileNotFoundError(f"{path} has no checkpoints: train with --save-freq")
        chosen = run.checkpoints if every is None else thin_out(run.checkpoints, every)
        return [_subject(checkpoint.model, run) for checkpoint in chosen]
    model = run.best_model if best else run.final_model
    if model is None:
        hint = "best model: train with --eval-freq" if best else "final model yet: ask for the best or the checkpoints"
        raise FileNotFoundError(f"{path} has no {hint}")
    return [_subject(model, run)]


def _subject(model: Path, run: Run | None) -> Subject:
    own, latest = None, None
    if run is not None:
        own = next((c.vecnormalize for c in run.checkpoints if c.model.name == model.name), None)
        latest = run.vecnormalize
        if run.config.get("normalize") and own is None and latest is None:
            raise FileNotFoundError(f"{run.path} normalises its observations, but has no vecnormalize.pkl")
    settings = read_settings(model)
    step, start_time = settings.get("num_timesteps"), settings.get("start_time")
    return Subject(
        model=model,
        step=step if isinstance(step, int) else 0,
        vecnormalize=own or latest,
        borrowed=own is None and latest is not None and run is not None and model != run.final_model,
        start_time=start_time if isinstance(start_time, int) else None,
    )


def thin_out(checkpoints: Sequence[Checkpoint], every: int) -> list[Checkpoint]:
    """Keep the checkpoints closest to 0, ``every``, 2 ``every``, ... as AllenAct's ``--approx_ckpt_step_interval``.

    The last multiple is the first one that is not below the last checkpoint. Of two checkpoints equally close
    to a multiple the earlier one is kept.

    :param checkpoints: In the order of their steps, as a :class:`~sb3_lander.runs.run.Run` has them.
    :param every: Environment steps, at least 1.
    :raises ValueError: If ``every`` is below 1.
    """
    if every < 1:
        raise ValueError(f"every must be a number of steps >= 1, got {every}")
    # If any multiple is closest to a checkpoint, then one of its two neighbours is: no need to try the others.
    multiples = {k * every for c in checkpoints for k in (c.step // every, -(-c.step // every))}
    chosen = {min(checkpoints, key=lambda c: (abs(c.step - multiple), c.step)).step for multiple in multiples}
    return [checkpoint for checkpoint in checkpoints if checkpoint.step in chosen]


def algorithm_of(settings: Mapping[str, Any]) -> str:
    """Tell the Zoo's name of the algorithm from a model's settings: a ``.zip`` of SB3 does not name it.

    TD3 with DDPG's settings is DDPG, so it is called ``ddpg``.

    :param settings: What :func:`~sb3_lander.runs.archive.read_settings` returns.
    :raises ValueError: If they are none of the Zoo's algorithms'.
    """
    policy = settings.get("policy_class")
    module = str(policy.get("__module__")) if isinstance(policy, dict) else ""
    ddpg = (settings.get("policy_delay"), settings.get("target_noise_clip")) == (1, 0.0)
    # Each line names what none of the lines below it has.
    signs = [
        ("trpo", "cg_max_steps" in settings),
        ("ars", "n_delta" in settings),
        ("ppo_lstm", "recurrent" in module),
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
    for algo, has_its_sign in signs:
        if has_its_sign:
            return algo
    raise ValueError("its settings are those of no algorithm of the Zoo: name the algorithm")


def load_model(path: Path, algo: str) -> BasePolicy:
    """Load a model as the Zoo's ``enjoy`` does, on the CPU, and return its policy. This unpickles.

    :param algo: The Zoo's name of the algorithm.
    :raises ValueError: If the name is unknown or the file is damaged.
    """
    from rl_zoo3.utils import ALGOS

    if algo not in ALGOS:
        raise ValueError(f"the algorithm {algo!r} is unknown; valid: {', '.join(ALGOS)}")
    # Schedules may be pickled functions of another Python version; acting needs none of them.
    unneeded = {"learning_rate": 0.0, "lr_schedule": _zero, "clip_range": _zero}
    buffer: dict[str, Any] = {}
    if issubclass(ALGOS[algo], OffPolicyAlgorithm):
        buffer = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}
        buffer["optimize_memory_usage"] = False
    try:
        model = ALGOS[algo].load(path, device="cpu", custom_objects=unneeded, **buffer)
    # Damage and missing classes show in any way while unpickling.
    except Exception as error:
        raise ValueError(f"cannot load {path} as {algo}: {type(error).__name__}: {error}") from error
    policy: BasePolicy = model.policy
    return policy


def _zero(_: float) -> float:
    return 0.0


def load_statistics(path: Path, make_env: Callable[[], gym.Env[Any, Any]]) -> VecNormalize:
    """Load ``VecNormalize`` statistics, frozen. This unpickles.

    :param make_env: Makes the environment, as the model sees it.
    :raises ValueError: If the file is damaged or does not fit the environment.
    """
    venv = DummyVecEnv([make_env])
    try:
        statistics = VecNormalize.load(str(path), venv)
    except (AssertionError, AttributeError, EOFError, ImportError, IndexError, pickle.UnpicklingError) as error:
        raise ValueError(f"cannot load {path}: {error or type(error).__name__}") from error
    finally:
        venv.close()
    statistics.training = False
    return statistics
