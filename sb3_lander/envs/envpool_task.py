"""What EnvPool has: look a task up, and describe it as gymnasium does where gymnasium has it too."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

__all__ = ["EnvPoolTask"]

_ACTION_KEYS = ["env_id", "players.env_id", "action"]
_OWN_OPTIONS = {"num_envs", "batch_size", "num_threads", "seed", "env_seed", "render_mode"}


@dataclass
class EnvPoolTask:
    """A task of EnvPool's with Box or Discrete spaces.

    :raises ImportError: If envpool is not installed.
    :raises ValueError: If EnvPool lacks the task or one of the options, or its spaces are of another kind.
    """

    task_id: str
    """EnvPool's name of the task."""
    options: Mapping[str, Any]
    """EnvPool's own options of the task, ``max_episode_steps`` among them."""

    def __post_init__(self) -> None:
        pool_spec = self._pool_spec()
        self.spec: EnvSpec | None = gym.spec(self.task_id) if self.task_id in gym.registry else None
        """Gymnasium's spec of the same name, None where gymnasium lacks the task."""
        self.action_dtype: np.dtype[Any] = pool_spec.action_array_spec["action"].dtype
        self.parameters = set(pool_spec._config_keys)
        """Names of what is fixed when a simulator is made."""
        self.max_episode_steps = int(pool_spec.config.max_episode_steps)
        if self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={self.max_episode_steps}: an episode has at least 1 step")
        with warnings.catch_warnings():
            # EnvPool states its bounds in float64, and gymnasium warns that float32 has less precision.
            warnings.simplefilter("ignore", UserWarning)
            self.observation_space: spaces.Space[Any] = pool_spec.gymnasium_observation_space
            self.action_space: spaces.Space[Any] = pool_spec.gymnasium_action_space
        self.metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}
        if self.spec is not None:
            self._describe_as(self.spec)
        for name, space in (("observation", self.observation_space), ("action", self.action_space)):
            if not isinstance(space, (spaces.Box, spaces.Discrete)):
                raise ValueError(f"{self.task_id}: its {name} space is {space}, neither Box nor Discrete")

    def make_pool(self, seeds: list[int], num_threads: int, render_mode: str | None) -> Any:
        """Make one simulator for each seed.

        :param seeds: Each in 0..2**32-1.
        """
        import envpool

        # An episode that ends by itself on the last allowed step is truncated to EnvPool and terminated to
        # gymnasium. So the VecEnv keeps the limit itself, one step before EnvPool's.
        options = {**self.options, "max_episode_steps": self.max_episode_steps + 1}
        int32_seeds: npt.NDArray[np.int32] = np.array(seeds, np.uint32).astype(np.int32)
        return envpool.make_gymnasium(
            self.task_id,
            num_envs=len(seeds),
            num_threads=num_threads,
            seed=int32_seeds.tolist(),
            render_mode=render_mode,
            **options,
        )

    def _pool_spec(self) -> Any:
        try:
            import envpool
        except ImportError as error:
            raise ImportError(
                f"EnvPoolVecEnv needs envpool ({error}): pip install sb3-lander[fast]", name="envpool"
            ) from error
        tasks = envpool.list_all_envs()
        if self.task_id not in tasks:
            near = difflib.get_close_matches(self.task_id, tasks, n=3)
            hint = f"; near it are {', '.join(near)}" if near else "; envpool.list_all_envs() lists its tasks"
            raise ValueError(f"EnvPool has no task {self.task_id!r}{hint}")
        known = set(envpool.make_spec(self.task_id)._config_keys) - _OWN_OPTIONS
        if unknown := set(self.options) - known:
            raise ValueError(
                f"env_kwargs: {', '.join(sorted(unknown))} cannot be given; EnvPool's {self.task_id} has "
                f"{', '.join(sorted(known))}"
            )
        pool_spec = envpool.make_spec(self.task_id, **self.options)
        if pool_spec._action_keys != _ACTION_KEYS or "obs" not in pool_spec._state_keys:
            raise ValueError(f"{self.task_id}: needs one agent with Box or Discrete spaces, not a Dict of them")
        return pool_spec

    def _describe_as(self, spec: EnvSpec) -> None:
        env = spec.make(disable_env_checker=True)
        self.metadata = env.metadata
        self.parameters |= set(inspect.signature(type(env.unwrapped)).parameters)
        # EnvPool's lander has the smallest positive float as its lower bound: gymnasium's bounds are right.
        for name in ("observation_space", "action_space"):
            own, gymnasiums = getattr(self, name), getattr(env, name)
            if type(own) is type(gymnasiums) and own.shape == gymnasiums.shape:
                setattr(self, name, gymnasiums)
        env.close()
