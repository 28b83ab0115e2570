"""What ``evaluate PATH`` does: fixed tasks for the models of a run, each loaded and normalised as it was trained.

::

    for assessed in Assessment("logs/ppo/LunarLanderContinuous-v2_1", checkpoints=True).play():
        print(assessed.subject.step, assessed.report.mean_return)
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from sb3_lander.agents.safe_loading import check_safe_env, load_policy
from sb3_lander.agents.subjects import Subject, algorithm_of, find_subjects, load_model, load_statistics, run_of
from sb3_lander.envs.registration import V3_ID, register_envs
from sb3_lander.evaluation.evaluator import DEFAULT_FIRST_SEED, EvaluationReport, Task, evaluate, fixed_tasks
from sb3_lander.evaluation.video import Recording, record_episode
from sb3_lander.runs.archive import read_settings
from sb3_lander.runs.entries import vec_env_wrappers
from sb3_lander.runs.provenance import usable_cores

__all__ = ["Assessed", "Assessment", "extremes"]

_SEVERAL_PROCESSES_FROM = 300
"""Tasks from which starting processes takes less time than it saves."""

_HARMLESS_VEC_WRAPPERS = (
    "sb3_lander.envs.selection.prefer_envpool",
    "stable_baselines3.common.vec_env.VecMonitor",
)
"""Wrappers that leave observations and actions as they are."""


@dataclass(frozen=True)
class Assessed:
    """One model, and what came out."""

    subject: Subject
    """The model."""

    report: EvaluationReport
    """Its episodes."""

    recordings: dict[str, Recording]
    """Its videos, by :func:`extremes`'s names."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report with its episodes, and the model's file names and step, as plain values."""
        statistics = self.subject.vecnormalize
        return {
            "model": self.subject.model.name,
            "step": self.subject.step,
            "vecnormalize": None if statistics is None else statistics.name,
            **self.report.to_dict(),
        }


def extremes(report: EvaluationReport, k: int) -> dict[str, int]:
    """Return the seeds of the ``k`` worst, ``k`` median and ``k`` best episodes by return, each seed once.

    :return: Seeds by ``worst``, ``worst_2``, ..., ``best``, ``best_2``, ..., ``median``, ``median_2``, ...
    """
    ranked = [e.seed for e in sorted(report.episodes, key=lambda e: (e.episode_return, e.seed))]
    middle = max(0, (len(ranked) - k) // 2)
    found: dict[str, int] = {}
    for name, seeds in (("worst", ranked[:k]), ("best", ranked[::-1][:k]), ("median", ranked[middle : middle + k])):
        for i, seed in enumerate(seeds, start=1):
            if seed not in found.values():
                found[name if i == 1 else f"{name}_{i}"] = seed
    return found


class Assessment:
    """Models, and the fixed tasks to play with each. What cannot work is refused here, before any work.

    :param path: A run folder of the RL Zoo, whose final model is taken, or a ``.zip`` of any algorithm of the
        Zoo. A ``.zip`` in a run folder is played with that run's settings.
    :param episodes: Number of tasks.
    :param first_seed: The first task's seed.
    :param checkpoints: Take every checkpoint of the run instead, in the order of their steps.
    :param every: Keep of these the ones closest to the multiples of so many steps.
    :param best: Take the run's ``best_model.zip`` instead.
    :param algo: The Zoo's name of the algorithm; found out when None.
    :param env_id: The environment; the run's own when None, or ``LunarLanderContinuous-v3`` without a run.
    :param env_kwargs: Keyword arguments of the environment, on top of those of the run.
    :param deterministic: Take the policy's most likely action.
    :param safe: Run no code of the files, see :func:`~sb3_lander.agents.load_policy`.
    :raises FileNotFoundError: If there is no such file, or the run has no such model.
    :raises ValueError: If the options contradict each other, or the run has settings that cannot be heeded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        episodes: int = 100,
        first_seed: int = DEFAULT_FIRST_SEED,
        checkpoints: bool = False,
        every: int | None = None,
        best: bool = False,
        algo: str | None = None,
        env_id: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        deterministic: bool = True,
        safe: bool = False,
    ) -> None:
        path = Path(path)
        self.run = run_of(path)
        """The run that the models belong to, None for a ``.zip`` on its own."""
        config = {} if self.run is None else self.run.config
        self.safe = safe
        self.deterministic = deterministic
        self.env_id = env_id or (V3_ID if self.run is None else self.run.env_id)
        self.env_kwargs = {**({} if self.run is None else self.run.env_kwargs), **(env_kwargs or {})}
        self._check_config(config)
        self.tasks = fixed_tasks(self.env_id, episodes, first_seed=first_seed, env_kwargs=self.env_kwargs)
        self.subjects = find_subjects(path, self.run, checkpoints=checkpoints, every=every, best=best)
        """The models, checkpoints in the order of their steps."""
        self._algo = algo or (None if self.run is None else self.run.algo)
        self._import_env()
        self._env_wrapper = _wrapper(config)

    def _check_config(self, config: Mapping[str, Any]) -> None:
        if config.get("frame_stack"):
            raise ValueError(f"the run stacks frames (frame_stack: {config['frame_stack']}), which is not supported")
        for wrapper, _ in vec_env_wrappers(config):
            if wrapper not in _HARMLESS_VEC_WRAPPERS:
                raise ValueError(f"the run's vec_env_wrapper {wrapper!r} may change observations: it is not supported")
        if self.safe and self.run is not None:
            check_safe_env(self.run.env_id, config)

    def _import_env(self) -> None:
        register_envs()
        if not self.safe and self.run is not None:
            for package in self.run.args.get("gym_packages") or []:
                importlib.import_module(package)
        try:
            self._env_spec = gym.spec(self.env_id)
        except (gym.error.Error, ImportError) as error:
            raise ValueError(f"unknown environment {self.env_id!r}: {error}") from error

    def play(
        self,
        *,
        n_processes: int | None = None,
        progress: bool = False,
        videos: int = 0,
        video_folder: str | Path | None = None,
    ) -> Iterator[Assessed]:
        """Play the tasks with one model after the other.

        :param n_processes: Processes; when None, one for each core where there are 300 tasks or more.
        :param progress: Show a progress bar.
        :param videos: Record so many of the worst, of the median and of the best episodes of each model.
        :param video_folder: Where the MP4s go; made if missing. ``videos`` beside the model when None.
        :raises ValueError: If a model cannot be loaded or does not fit the environment.
        """
        if videos < 0:
            raise ValueError(f"the number of videos must be >= 0, got {videos}")
        if n_processes is None:
            n_processes = len(usable_cores()) if len(self.tasks) >= _SEVERAL_PROCESSES_FROM else 1
        folder = Path(video_folder or self.subjects[0].model.parent / "videos")
        if videos:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ValueError(f"cannot make the folder {folder} for the videos: {error.strerror}") from error
        for subject in self.subjects:
            model, options = self.load(subject)
            report = evaluate(model, self.tasks, n_processes=n_processes, progress=progress, **options)
            recordings = {}
            for name, seed in extremes(report, videos).items() if videos else ():
                file = folder / f"step_{subject.step}_{name}_seed_{seed}.mp4"
                recordings[name] = record_episode(model, Task(self.env_id, seed, self.env_kwargs), file, **options)
            yield Assessed(subject, report, recordings)

    def load(self, subject: Subject) -> tuple[Any, dict[str, Any]]:
        """Return the policy, and what :func:`~sb3_lander.evaluation.evaluate` must know to play it."""
        statistics = None
        if self.safe:
            policy = load_policy(subject.model)
        else:
            policy = load_model(subject.model, self._algo or algorithm_of(read_settings(subject.model)))
            if subject.vecnormalize is not None:
                statistics = load_statistics(subject.vecnormalize, self.make_env)
        options = {"deterministic": self.deterministic, "vec_normalize": statistics, "env_wrapper": self._env_wrapper}
        return policy, options

    def make_env(self) -> gym.Env[Any, Any]:
        """Make the environment as the models see it."""
        env: gym.Env[Any, Any] = gym.make(self._env_spec, **self.env_kwargs)
        return env if self._env_wrapper is None else self._env_wrapper(env)


def _wrapper(config: Mapping[str, Any]) -> Any:
    if not config.get("env_wrapper"):
        return None
    from rl_zoo3.utils import get_wrapper_class

    try:
        return get_wrapper_class(dict(config))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the run's env_wrapper {config['env_wrapper']!r} cannot be imported: {error}") from error
