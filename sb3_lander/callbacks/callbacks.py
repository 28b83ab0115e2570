"""Callbacks for any algorithm of Stable-Baselines3, in Python or in the ``callback`` entry of the Zoo's YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat

from sb3_lander.evaluation.evaluator import evaluate, fixed_tasks
from sb3_lander.evaluation.report import Task
from sb3_lander.evaluation.video import record_episode, summary
from sb3_lander.runs.files import save_model, save_vecnormalize, write_whole
from sb3_lander.runs.run import checkpoints

__all__ = ["CheckpointCallback", "PeriodicCallback", "SaveBest", "StopWhenSolved", "VideoCallback"]

EnvWrapper = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


class PeriodicCallback(BaseCallback):
    """Does something at the first step at or past each multiple of ``every`` environment steps.

    Multiples, and not a count since the start, so that a training that is resumed keeps to the same steps.
    """

    folder: Path | None
    """Where files go; the RL Zoo's run folder, if the training is the Zoo's and none was given."""

    env_wrapper: EnvWrapper | None = None
    """What the Zoo's ``env_wrapper`` puts around an environment."""

    def __init__(self, every: int, folder: str | Path | None = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        if every < 1:
            raise ValueError(f"every={every} must be at least 1 environment step")
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self._passed = 0

    def _init_callback(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def _on_training_start(self) -> None:
        self._passed = self.num_timesteps // self.every

    def _on_step(self) -> bool:
        passed, self._passed = self._passed, self.num_timesteps // self.every
        return self._passed == passed or self._on_multiple()

    def _on_multiple(self) -> bool:
        raise NotImplementedError

    def _env_id(self) -> str:
        (spec,) = self.training_env.get_attr("spec", indices=[0])
        if spec is None:
            raise ValueError(f"{type(self).__name__} needs environments that gymnasium's registry knows")
        return str(spec.id)


class CheckpointCallback(PeriodicCallback):
    """Save checkpoints that are whole at any moment: model, optimizer, step count and normalisation statistics.

    The names are those of SB3's ``CheckpointCallback``, so the Zoo's ``enjoy --checkpoint`` and
    ``python -m sb3_lander evaluate --checkpoints`` find them, and ``python -m sb3_lander resume`` continues from them.

    :param every: Environment steps between two checkpoints.
    :param keep: How many of the newest stay; all when None. ``best_model.zip`` is never among them and always stays.
    :param save_replay_buffer: Save the replay buffer of an off-policy algorithm too; only the newest one stays.
    :param folder: Where they go; the run folder in a training of the RL Zoo.
    :param verbose: 1 for a line at each checkpoint.
    :raises ValueError: If ``every`` or ``keep`` is below 1, or no folder is known when the training starts.
    """

    def __init__(
        self,
        every: int = 100_000,
        keep: int | None = 5,
        save_replay_buffer: bool = False,
        folder: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(every, folder, verbose)
        if keep is not None and keep < 1:
            raise ValueError(f"keep={keep} must be at least 1, or None for all")
        self.keep = keep
        self.save_replay_buffer = save_replay_buffer

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self.folder is None:
            raise ValueError("CheckpointCallback needs folder=..., outside of the RL Zoo's trainings")

    def _on_multiple(self) -> bool:
        assert self.folder is not None
        step = self.num_timesteps
        # The model comes last: where it stands, what belongs to it stands too.
        save_vecnormalize(self.model, self._path("vecnormalize_", step, "pkl"))
        if self.save_replay_buffer and getattr(self.model, "replay_buffer", None) is not None:
            write_whole(self._path("replay_buffer_", step, "pkl"), self.model.save_replay_buffer)  # type: ignore[attr-defined]  # off-policy algorithms have it
        save_model(self.model, self._path("", step, "zip"))
        if self.verbose >= 1:
            print(f"Saved checkpoint at {step} steps")
        saved = checkpoints(self.folder)
        for old in saved[:-1]:
            _delete(old.replay_buffer)
        for old in saved[: -self.keep] if self.keep is not None else ():
            _delete(old.model, old.vecnormalize)
        return True

    def _path(self, kind: str, step: int, extension: str) -> Path:
        assert self.folder is not None
        return self.folder / f"rl_model_{kind}{step}_steps.{extension}"


def _delete(*files: Path | None) -> None:
    for file in files:
        if file is not None:
            file.unlink()


class SaveBest(BaseCallback):
    """Save the model and its normalisation statistics, whole, when an ``EvalCallback`` finds a new best one.

    :param model: The model's ``.zip``.
    :param vecnormalize: The statistics' ``.pkl``, written first.
    """

    def __init__(self, model: Path, vecnormalize: Path) -> None:
        super().__init__()
        self._paths = model, vecnormalize

    def _on_step(self) -> bool:
        model, vecnormalize = self._paths
        save_vecnormalize(self.model, vecnormalize)
        save_model(self.model, model)
        return True


class VideoCallback(PeriodicCallback):
    """Record one episode of a fixed task now and then: as MP4, and in TensorBoard's images tab.

    The episode is played in an environment of its own; the training's environments and random numbers are not touched.
    The first one is recorded before the training starts, so that whatever prevents videos shows at once.

    :param every: Environment steps between two videos.
    :param seed: The task's reset seed, the same for every video.
    :param env_kwargs: Keyword arguments of the task's environment.
    :param max_frames: Frames of a video at most.
    :param fps: Frames per second.
    :param folder: Where the MP4s go; ``videos`` in the run folder in a training of the RL Zoo. None otherwise means
        ``videos`` in the logger's folder, or in the working folder.
    :param verbose: 1 for a line at each video.
    :raises ValueError: When the training starts, if the environment cannot be made anew or rendered.
    """

    def __init__(
        self,
        every: int = 100_000,
        seed: int = 0,
        env_kwargs: Mapping[str, Any] | None = None,
        max_frames: int = 400,
        fps: float = 30.0,
        folder: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(every, folder, verbose)
        self.seed = seed
        self.env_kwargs = dict(env_kwargs or {})
        self.max_frames = max_frames
        self.fps = fps

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._videos = (self.folder or Path(self.logger.dir or ".")) / "videos"
        self._videos.mkdir(parents=True, exist_ok=True)
        self._on_multiple()

    def _on_multiple(self) -> bool:
        recording = record_episode(
            self.model,
            Task(self._env_id(), self.seed, self.env_kwargs),
            self._videos / f"step_{self.num_timesteps}.mp4",
            env_wrapper=self.env_wrapper,
            fps=self.fps,
            max_frames=self.max_frames,
        )
        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                # Into the file that SB3 writes: of several files at a time TensorBoard follows only the newest.
                file: Any = output.writer.file_writer
                file.add_summary(summary({}, {"video/episode": recording}), self.num_timesteps)
        if self.verbose >= 1:
            print(f"Recorded {recording.path}: return {recording.episode.episode_return:.1f}")
        return True


class StopWhenSolved(PeriodicCallback):
    """Tell, and if asked stop, when a model has reached a mean return on fixed tasks several times in a row.

    Logs ``solved/mean_return`` and ``solved/success_rate`` at each evaluation.

    :param threshold: The mean return to reach; the environment's ``reward_threshold`` when None (200 for the lander).
    :param every: Environment steps between two evaluations.
    :param episodes: Fixed tasks of an evaluation.
    :param consecutive: Evaluations in a row that must reach the threshold.
    :param stop: End the training then. If False it goes on, and only says so.
    :param first_seed: The first task's seed.
    :param env_kwargs: Keyword arguments of the tasks' environment.
    :param verbose: 1 for a line when it is solved.
    :raises ValueError: If a number is below 1, or the environment declares no threshold and none is given.
    """

    def __init__(
        self,
        threshold: float | None = None,
        every: int = 50_000,
        episodes: int = 100,
        consecutive: int = 3,
        stop: bool = False,
        first_seed: int = 1_000_000,
        env_kwargs: Mapping[str, Any] | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(every, None, verbose)
        if episodes < 1 or consecutive < 1:
            raise ValueError(f"episodes={episodes} and consecutive={consecutive} must be at least 1")
        self.threshold = threshold
        self.episodes = episodes
        self.consecutive = consecutive
        self.stop = stop
        self.first_seed = first_seed
        self.env_kwargs = dict(env_kwargs or {})
        self.solved_at: int | None = None
        self._in_a_row = 0

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self.threshold is None:
            self.threshold = gym.spec(self._env_id()).reward_threshold
        if self.threshold is None:
            raise ValueError(f"{self._env_id()} declares no reward_threshold: give threshold=...")

    def _on_multiple(self) -> bool:
        assert self.threshold is not None
        tasks = fixed_tasks(self._env_id(), self.episodes, first_seed=self.first_seed, env_kwargs=self.env_kwargs)
        report = evaluate(self.model, tasks, env_wrapper=self.env_wrapper, success_threshold=self.threshold)
        self.logger.record("solved/mean_return", report.mean_return)
        self.logger.record("solved/success_rate", report.success_rate)
        self._in_a_row = self._in_a_row + 1 if report.mean_return >= self.threshold else 0
        if self._in_a_row >= self.consecutive and self.solved_at is None:
            self.solved_at = self.num_timesteps
            if self.verbose >= 1:
                print(
                    f"Solved at {self.solved_at} steps: {self.consecutive} times in a row the mean return over "
                    f"{self.episodes} tasks was at least {self.threshold:g}, the last time {report.mean_return:.1f}"
                )
        return not (self.stop and self.solved_at is not None)
