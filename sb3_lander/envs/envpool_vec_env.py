"""EnvPoolVecEnv: a Stable-Baselines3 VecEnv over EnvPool's C++ simulators."""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.monitor import Monitor, ResultsWriter
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvStepReturn

from sb3_lander.envs.cores import usable_cores
from sb3_lander.envs.envpool_task import EnvPoolTask
from sb3_lander.envs.registration import SuccessWrapper


class EnvPoolVecEnv(VecEnv):
    """Run ``n_envs`` copies of an EnvPool task in C++ threads, with the contract of SB3's ``DummyVecEnv``.

    Every env owns two simulators: one runs, the other is already reset. When an episode ends they change places, and
    the finished one is reset in the same round as the next step: a reset never costs a round of its own. Rewards are
    unscaled. An env's episodes depend only on its seed and actions, not on ``num_threads`` or the other envs.

    :param task_id: An EnvPool task with Box or Discrete spaces, such as ``"LunarLanderContinuous-v3"``.
    :param n_envs: The number of envs, at least 1.
    :param seed: Env ``i`` is seeded with ``seed + i`` at the first reset; drawn from numpy's global generator when
        None, as SB3's ``make_vec_env`` does.
    :param num_threads: C++ threads, at least 1; when None one for each usable CPU, but at most ``n_envs``.
    :param success_threshold: The return from which ``info["is_success"]`` is True on an episode's last step; the
        ``reward_threshold`` of gymnasium's spec when None, and no flag where that is None too.
    :param env_kwargs: EnvPool's own options of the task, as ``max_episode_steps``.
    :param render_mode: None or ``"rgb_array"``.
    :param monitor_dir: Folder for ``0.monitor.csv`` and so on, as SB3's Monitor writes them; None for no log.
    :raises ImportError: If envpool is not installed, or cannot be loaded.
    :raises ValueError: If an argument is out of range, EnvPool lacks the task or an option of ``env_kwargs``, or the
        task's spaces are neither Box nor Discrete.
    """

    def __init__(
        self,
        task_id: str,
        n_envs: int,
        *,
        seed: int | None = None,
        num_threads: int | None = None,
        success_threshold: float | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        monitor_dir: str | None = None,
    ) -> None:
        if n_envs < 1:
            raise ValueError(f"n_envs={n_envs!r}: there must be at least 1 env")
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads={num_threads!r}: give at least 1, or None for one thread for each CPU")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r}: give None or 'rgb_array', for render('human') too")
        self._task = task = EnvPoolTask(task_id, env_kwargs or {})
        self.task_id, self.spec, self.max_episode_steps = task_id, task.spec, task.max_episode_steps
        self.num_threads = num_threads or min(n_envs, len(usable_cores()))
        own_threshold = task.spec.reward_threshold if task.spec else None
        self.success_threshold = own_threshold if success_threshold is None else success_threshold
        fixed = {name: getattr(task, name) for name in ("spec", "metadata", "observation_space", "action_space")}
        fixed["render_mode"] = render_mode
        self._attributes = [dict(fixed) for _ in range(n_envs)]
        self._fixed_names = task.parameters | set(fixed)
        super().__init__(n_envs, task.observation_space, task.action_space)
        self.metadata = task.metadata
        self._pool: Any = None
        self._is_stepping = False
        self._returns, self._to_reset = np.zeros(n_envs), np.zeros(0, np.intp)
        self._no_action = np.zeros((n_envs, *(task.action_space.shape or ())), task.action_dtype)
        self._t_start = [time.time()] * n_envs
        self._writers: list[ResultsWriter | None] = [None] * n_envs
        if monitor_dir is not None:
            header: Any = {"t_start": self._t_start[0], "env_id": task_id}
            self._writers = [ResultsWriter(os.path.join(monitor_dir, str(i)), header) for i in range(n_envs)]
        self.seed(seed)

    def reset(self) -> npt.NDArray[Any]:
        """Start a new episode in every env, with the seeds given to :meth:`seed` if that was called since."""
        if self._is_stepping:
            self.step_wait()
        if self._pool is None or any(seed is not None for seed in self._seeds):
            seeds = [int(np.random.randint(2**32, dtype=np.uint32)) if s is None else s % 2**32 for s in self._seeds]
            # A spare's seed follows from its env's seed alone, so that no env depends on the others.
            spare_seeds = [int(np.random.SeedSequence((s, 1)).generate_state(1)[0]) for s in seeds]
            self._pool = self._task.make_pool(seeds + spare_seeds, self.num_threads, self.render_mode)
            self._state_index = [self._pool._state_keys.index(key) for key in ("obs", "reward", "done", "elapsed_step")]
            self._running, self._spare = np.arange(2 * self.num_envs, dtype=np.int32).reshape(2, -1)
        observations = self._reset_simulators(np.concatenate([self._running, self._spare]))
        self._ready = observations[self.num_envs :].copy()
        self._to_reset = self._to_reset[:0]
        self._returns[:] = 0.0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        return observations[: self.num_envs]

    def step_async(self, actions: npt.ArrayLike) -> None:
        """Start a step in every env.

        :param actions: Shape ``(n_envs, *action_space.shape)``; copied.
        :raises RuntimeError: Before the first reset, or while a step is under way.
        :raises ValueError: If the shape is wrong, or a Discrete action is no integer in range.
        """
        if self._pool is None or self._is_stepping:
            raise RuntimeError("step_wait() is due first" if self._is_stepping else "call reset() before step()")
        # A copy, since the threads read it until step_wait; EnvPool's own send() is bypassed with its checks
        # because its Python part takes about a tenth of a step's time.
        actions = self._task.copy_actions(actions)
        if actions.shape != self._no_action.shape:
            raise ValueError(f"actions of shape {actions.shape}: expected {self._no_action.shape}")
        simulators = self._running
        if self._to_reset.size:
            # EnvPool resets a terminated simulator that is sent an action. Resets take longer: they go first.
            simulators = np.concatenate([self._spare[self._to_reset], simulators])
            actions = np.concatenate([self._no_action[: self._to_reset.size], actions])
        self._pool._send([simulators, simulators, actions])
        self._is_stepping = True
        # Made here because the threads are busy now.
        self._infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]

    def step_wait(self) -> VecEnvStepReturn:
        """Wait for the step; the envs whose episode ended are returned already reset.

        :return: observations ``(n_envs, ...)``, rewards (float32) and dones ``(n_envs,)``, and one new info for each.
        :raises RuntimeError: If no step was started.
        """
        if not self._is_stepping:
            raise RuntimeError("step_wait() without step_async(), or after close()")
        state = self._pool._recv()
        self._is_stepping = False
        n_resets = self._to_reset.size
        if n_resets:
            self._ready[self._to_reset] = state[self._state_index[0]][:n_resets]
        observations, rewards, terminated, lengths = (state[i][n_resets:] for i in self._state_index)
        observations = observations.astype(self.observation_space.dtype, copy=False)
        self._returns += rewards
        dones = lengths >= self.max_episode_steps
        dones |= terminated
        self._to_reset = dones.nonzero()[0]
        if self._to_reset.size:
            self._end_episodes(observations, terminated, lengths)
        return observations, rewards, dones, self._infos

    def _end_episodes(
        self, observations: npt.NDArray[Any], terminated: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int32]
    ) -> None:
        ended, now = self._to_reset, time.time()
        for i in ended.tolist():
            episode_return, info = float(self._returns[i]), self._infos[i]
            info["TimeLimit.truncated"] = not terminated[i]
            info["terminal_observation"] = observations[i].copy()
            info["episode"] = {
                "r": round(episode_return, 6),
                "l": int(lengths[i]),
                "t": round(now - self._t_start[i], 6),
            }
            if self.success_threshold is not None:
                info["is_success"] = episode_return >= self.success_threshold
            if (writer := self._writers[i]) is not None:
                writer.write_row(info["episode"])
            self.reset_infos[i] = {}
        self._returns[ended] = 0.0
        observations[ended] = self._ready[ended]
        self._running[ended], self._spare[ended] = self._spare[ended], self._running[ended]
        # EnvPool does not know that these are over: it must be told.
        truncated = ended[~terminated[ended]]
        if truncated.size:
            self._ready[truncated] = self._reset_simulators(self._spare[truncated])
            self._to_reset = ended[terminated[ended]]

    def _reset_simulators(self, simulators: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
        self._pool._reset(simulators)
        observations: npt.NDArray[Any] = self._pool._recv()[self._state_index[0]]
        return observations.astype(self.observation_space.dtype, copy=False)

    def close(self) -> None:
        """Stop the threads and close the monitor files; closing twice is allowed."""
        self._pool, self._is_stepping = None, False
        for writer in filter(None, self._writers):
            writer.close()

    def __getstate__(self) -> dict[str, Any]:
        if self._pool is not None or any(self._writers):
            raise TypeError("an EnvPoolVecEnv cannot be copied or pickled once it is reset or has monitor files")
        return self.__dict__

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """Return an RGB image of each env, shape ``(height, width, 3)``; None for each without a render mode.

        :raises RuntimeError: Before the first reset.
        """
        if self.render_mode is None:
            warnings.warn("EnvPoolVecEnv draws images with render_mode='rgb_array' only", stacklevel=2)
            return [None] * self.num_envs
        if self._pool is None:
            raise RuntimeError("call reset() before render()")
        return list(self._pool.render(env_ids=self._running))

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Refuse options for the next reset: EnvPool's resets take none.

        :raises ValueError: If there are any.
        """
        if any(options) if isinstance(options, list) else options:
            raise ValueError(f"options={options!r}: EnvPool's resets take no options")

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the spec, metadata, spaces, render mode, or what :meth:`set_attr` stored, for each env.

        :raises AttributeError: For anything else, since the simulators live in C++.
        """
        chosen = [self._attributes[i] for i in self._get_indices(indices)]
        if any(attr_name not in attributes for attributes in chosen):
            valid = f"{', '.join(self._attributes[0])} and what set_attr() stored"
            raise AttributeError(f"{attr_name!r}: {self.task_id}'s simulators live in C++, so there is only {valid}")
        return [attributes[attr_name] for attributes in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Store a value for :meth:`get_attr`; no simulator sees it.

        :raises AttributeError: For a parameter of the simulator or a fixed attribute, which cannot change.
        """
        if attr_name in self._fixed_names:
            raise AttributeError(f"{attr_name!r} of {self.task_id} is fixed when EnvPool makes its simulators")
        for i in self._get_indices(indices):
            self._attributes[i][attr_name] = value

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call ``render``, the only method that EnvPool can answer.

        :raises AttributeError: For any other method.
        """
        if method_name != "render":
            raise AttributeError(f"{method_name!r}: {self.task_id}'s simulators live in C++, so there is only render")
        images = self.get_images()
        return [images[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Tell whether the envs do the work of this wrapper: Monitor, TimeLimit, SuccessWrapper."""
        # The RL Zoo, once imported, has put a subclass in TimeLimit's place.
        does = {Monitor, gym.wrappers.TimeLimit} | ({SuccessWrapper} if self.success_threshold is not None else set())
        return [any(issubclass(done, wrapper_class) for done in does) for _ in self._get_indices(indices)]
