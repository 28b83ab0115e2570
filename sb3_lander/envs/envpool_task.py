"""What EnvPool has: look a task up, and describe it as gymnasium does where gymnasium has it too."""

import difflib
import inspect
import re
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

_OWN_OPTIONS = {"num_envs", "batch_size", "num_threads", "seed", "env_seed", "render_mode"}
_NO_LIMIT = 2**31 - 1  # EnvPool's own way to say it


def import_envpool() -> ModuleType:
    """Import envpool; the ImportError of one that is not there, or cannot be loaded, says what is missing."""
    try:
        import envpool
    except Exception as error:  # whatever fails in a package that is optional, gymnasium can do without it
        if isinstance(error, ModuleNotFoundError) and error.name == "envpool":
            remedy = 'pip install "sb3-lander[fast]"' if sys.version_info >= (3, 11) else "it needs Python 3.11"
            reason = f"envpool is not installed: {remedy}"
        elif library := re.match(r"(\S+\.so\S*): cannot open shared object file", str(error)):
            reason = (
                f"envpool is installed, but the system library {library[1]} is missing: "
                "on Debian or Ubuntu, apt-get install libegl1 libopengl0"
            )
        else:
            reason = f"envpool is installed, but importing it fails with {type(error).__name__}: {error}"
        raise ImportError(reason, name="envpool") from error
    return envpool


class EnvPoolTask:
    """A task of EnvPool's with Box or Discrete spaces; a ValueError if EnvPool has no such task, or not the options."""

    def __init__(self, task_id: str, options: Mapping[str, Any]) -> None:
        self.task_id, self.options = task_id, dict(options)
        pool_spec = self._pool_spec()
        self.spec: EnvSpec | None = gym.spec(task_id) if task_id in gym.registry else None
        self.action_dtype: np.dtype[Any] = pool_spec.action_array_spec["action"].dtype
        # Names of what is fixed when a simulator is made.
        self.parameters = set(pool_spec._config_keys)
        self.max_episode_steps = int(pool_spec.config.max_episode_steps)
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
                raise ValueError(f"{task_id}: its {name} space is {space}, neither Box nor Discrete")

    def make_pool(self, seeds: list[int], num_threads: int, render_mode: str | None) -> Any:
        """Make one simulator for each seed in 0..2**32-1."""
        # An episode that ends by itself on the last allowed step is truncated to EnvPool and terminated to
        # gymnasium. So the VecEnv keeps the limit itself, one step before EnvPool's.
        options = {**self.options, "max_episode_steps": min(self.max_episode_steps + 1, _NO_LIMIT)}
        options |= {"num_envs": len(seeds), "num_threads": num_threads, "render_mode": render_mode}
        int32_seeds = np.array(seeds, np.uint32).astype(np.int32).tolist()
        return import_envpool().make_gymnasium(self.task_id, seed=int32_seeds, **options)

    def copy_actions(self, actions: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return a copy of the actions as EnvPool takes them; a ValueError if a Discrete space does not hold them."""
        if isinstance(self.action_space, spaces.Discrete):
            # EnvPool takes any number, and what it then does is undefined.
            actions, n = np.asarray(actions), int(self.action_space.n)
            if actions.dtype.kind not in "iu" or not np.all((actions >= 0) & (actions < n)):
                raise ValueError(f"actions={actions.tolist()!r}: {self.task_id} takes integers from 0 to {n - 1}")
        return np.array(actions, self.action_dtype, order="C")

    def _pool_spec(self) -> Any:
        envpool = import_envpool()
        tasks = envpool.list_all_envs()
        if self.task_id not in tasks:
            near = difflib.get_close_matches(self.task_id, tasks, n=3)
            hint = f"; near it are {', '.join(near)}" if near else "; envpool.list_all_envs() lists its tasks"
            raise ValueError(f"EnvPool has no task {self.task_id!r}{hint}")
        known = set(envpool.make_spec(self.task_id)._config_keys) - _OWN_OPTIONS
        if unknown := set(self.options) - known:
            given, valid = ", ".join(sorted(unknown)), ", ".join(sorted(known))
            raise ValueError(f"env_kwargs: {given} cannot be given; EnvPool's {self.task_id} has {valid}")
        limit = self.options.get("max_episode_steps", 1)
        if not isinstance(limit, (int, np.integer)) or not 1 <= limit <= _NO_LIMIT:
            raise ValueError(f"max_episode_steps={limit!r}: an episode has 1 to {_NO_LIMIT} steps")
        pool_spec = envpool.make_spec(self.task_id, **self.options)
        if pool_spec._action_keys != ["env_id", "players.env_id", "action"] or "obs" not in pool_spec._state_keys:
            raise ValueError(f"{self.task_id}: needs one agent with Box or Discrete spaces, not a Dict of them")
        return pool_spec

    def _describe_as(self, spec: EnvSpec) -> None:
        try:
            env = spec.make(disable_env_checker=True)
        except (ImportError, gym.error.Error):
            # Gymnasium's version needs a package that is not installed, or is no more; EnvPool's needs neither.
            return
        self.metadata = env.metadata
        self.parameters |= set(inspect.signature(type(env.unwrapped)).parameters)
        # EnvPool's lander has the smallest positive float as its lower bound: gymnasium's bounds are right.
        for name in ("observation_space", "action_space"):
            own, gymnasiums = getattr(self, name), getattr(env, name)
            if isinstance(own, spaces.Box) and isinstance(gymnasiums, spaces.Box) and own.shape == gymnasiums.shape:
                setattr(self, name, gymnasiums)
        env.close()
