"""Training episodes that are cut early while the agent has not learned to end them itself."""

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv


class ShortEpisodes(BaseCallback):
    """Truncate training episodes earlier than the task does, up to a point of the training; whole ones follow.

    A lander that has learned to fly, but not yet to land, hovers for the task's 1,000 steps, and most of what it then
    learns from is hovering. SB3 bootstraps the value of a truncated state, as Pardo et al., *Time Limits in
    Reinforcement Learning* (2018), advise for training on pieces of episodes. Returns in the training's log are those
    of the shortened episodes; evaluations play whole ones, because a callback only knows the training's environments.
    Works with ``EnvPoolVecEnv`` and every VecEnv of environments that have gymnasium's ``TimeLimit``.

    :param max_episode_steps: The longest episode, in steps, at least 1; the task's own limit stays below it.
    :param until: When episodes become whole: below 1 a share of the training's budget, as 0.5 for its second half;
        from 1 on a number of environment steps; None for never.
    :param verbose: 1 for a line when episodes become whole.
    :raises ValueError: If ``max_episode_steps`` is below 1 or ``until`` neither a share nor a number of steps, or, when
        the training starts, if the environments have no ``TimeLimit``.
    """

    def __init__(self, max_episode_steps: int, until: float | None = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        if max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={max_episode_steps} must be at least 1")
        if until is not None and (not until > 0 or (until >= 1 and until != int(until))):
            valid = "a share of the budget between 0 and 1, a whole number of environment steps, or None for never"
            raise ValueError(f"until={until} must be {valid}")
        self.max_episode_steps, self.until = max_episode_steps, until
        self._whole: list[int] | None = None

    def _on_training_start(self) -> None:
        if not self._is_over():
            self._whole = self._limits()
            self._set_limits([min(self.max_episode_steps, limit) for limit in self._whole])

    def _on_step(self) -> bool:
        if self._whole is not None and self._is_over():
            self._restore()
            if self.verbose >= 1:
                print(f"Training episodes are whole from step {self.num_timesteps} on")
        return True

    def _is_over(self) -> bool:
        if self.until is None:
            return False
        # SB3's own schedules count from the same number.
        return self.num_timesteps >= self.until * (self.model._total_timesteps if self.until < 1 else 1)

    def _restore(self) -> None:
        if self._whole is not None:
            self._set_limits(self._whole)
            self._whole = None

    _on_training_end = _restore

    def _limits(self) -> list[int]:
        venv: Any = self.training_env.unwrapped
        if isinstance(venv, EnvPoolVecEnv):
            return [venv.max_episode_steps]
        try:
            return [int(limit) for limit in venv.env_method("get_wrapper_attr", "_max_episode_steps")]
        # A subprocess ends where there is no such attribute.
        except (AttributeError, EOFError) as error:
            limit = f"max_episode_steps={self.max_episode_steps}"
            raise ValueError(f"{limit}: the training's environments have no TimeLimit to shorten") from error

    def _set_limits(self, limits: list[int]) -> None:
        venv: Any = self.training_env.unwrapped
        if isinstance(venv, EnvPoolVecEnv):
            (venv.max_episode_steps,) = limits
            return
        for i, limit in enumerate(limits):
            venv.env_method("set_wrapper_attr", "_max_episode_steps", limit, indices=[i])
