"""StopWhenSolved: tells when a training has solved its task, and stops it if asked."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from sb3_lander.callbacks.periodic import PeriodicCallback
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.task import fixed_tasks


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
        self.threshold, self.episodes, self.consecutive, self.stop = threshold, episodes, consecutive, stop
        self.first_seed, self.env_kwargs = first_seed, dict(env_kwargs or {})
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
