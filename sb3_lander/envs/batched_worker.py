"""One process of a BatchedSubprocVecEnv: its environments, and the arrays that it shares with the others."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import cloudpickle  # type: ignore[import-untyped] # it ships no types
import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.patch_gym import _patch_env
from stable_baselines3.common.vec_env.util import obs_space_info

__all__ = ["SharedArrays", "Worker", "run_worker"]

_ALIGNMENT = 64


class SharedArrays:
    """A step's observations, rewards, dones and actions of all envs, in memory that several processes see.

    :param observation_space: Of one env: Box, Discrete and the like, or a Dict or Tuple of them.
    :param action_space: Of one env.
    :param n_envs: The number of envs: the length of each array.
    :param name: The name of the memory that another process made; None makes it.
    :raises ValueError: If a space has no fixed shape.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        n_envs: int,
        name: str | None = None,
    ) -> None:
        keys, shapes, dtypes = obs_space_info(observation_space)
        layout: list[tuple[tuple[int, ...], Any]] = [((), np.float32), ((), np.bool_)]
        for key, space in [("action", action_space), *((key, observation_space) for key in keys)]:
            shape, dtype = (action_space.shape, action_space.dtype) if key == "action" else (shapes[key], dtypes[key])
            if shape is None or dtype is None or np.dtype(dtype).hasobject:
                raise ValueError(f"{space}: only spaces whose values have a fixed shape and number type can be shared")
            layout.append((shape, dtype))
        sizes = [n_envs * int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in layout]
        starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]).tolist()
        self._memory: SharedMemory | None = SharedMemory(name, create=name is None, size=max(starts[-1], 1))
        self.name = self._memory.name
        self.rewards, self.dones, self.actions, *observations = (
            np.ndarray((n_envs, *shape), dtype, self._memory.buf, start)
            for (shape, dtype), start in zip(layout, starts, strict=False)
        )
        self.observations: dict[Any, npt.NDArray[Any]] = dict(zip(keys, observations, strict=True))

    def unlink(self) -> None:
        """Take the memory's name away: nobody else can open it, and it is gone when the last process is."""
        if self._memory is not None:
            self._memory.unlink()

    def close(self) -> None:
        """Give the memory back; the arrays are no more."""
        if self._memory is not None:
            del self.rewards, self.dones, self.actions, self.observations
            self._memory.close()
            self._memory = None


class Worker:
    """Some of the envs, one after another in this process; its public methods are what the VecEnv may ask for.

    :param start: The number of the first one in the whole VecEnv.
    """

    def __init__(self, start: int) -> None:
        self.start = self.current = start
        self.envs: list[gym.Env[Any, Any]] = []
        self.rows = slice(start, start)
        self.shared: SharedArrays | None = None

    def make(
        self, env_fns: Sequence[Callable[[], gym.Env[Any, Any]]] | bytes
    ) -> tuple[spaces.Space[Any], spaces.Space[Any], dict[str, Any]]:
        """Make the envs; return the first one's spaces and metadata.

        :param env_fns: Make one each; or their list, pickled.
        """
        made = cloudpickle.loads(env_fns) if isinstance(env_fns, bytes) else env_fns
        for i, env_fn in enumerate(made, self.start):
            self.current = i
            self.envs.append(_patch_env(env_fn()))
        if len({id(env.unwrapped) for env in self.envs}) < len(self.envs):
            raise ValueError("the functions that make the envs returned the same env twice: each must make a new one")
        self.rows = slice(self.start, self.start + len(self.envs))
        return self.envs[0].observation_space, self.envs[0].action_space, self.envs[0].metadata

    def share(self, name: str, observation_space: Any, action_space: Any, n_envs: int) -> None:
        """Open the memory of that name."""
        self.shared = SharedArrays(observation_space, action_space, n_envs, name)

    def step(self, actions: Any = None) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
        """Step each env, and reset those whose episode ended.

        :param actions: The actions of this process's envs; None where they are in the shared memory.
        :return: The infos that say more than that the episode goes on, and the resets' infos, by the env's number.
        """
        shared = self._shared()
        if actions is None:
            # A copy, since an env may keep its action.
            actions = shared.actions[self.rows].copy()
        infos: dict[int, dict[str, Any]] = {}
        reset_infos: dict[int, dict[str, Any]] = {}
        for i, env in enumerate(self.envs, self.start):
            self.current = i
            observation, shared.rewards[i], terminated, truncated, info = env.step(actions[i - self.start])
            shared.dones[i] = terminated or truncated
            info["TimeLimit.truncated"] = truncated and not terminated
            if shared.dones[i]:
                # An env may use the same array again in its reset.
                info["terminal_observation"] = copy.deepcopy(observation)
                observation, reset_infos[i] = env.reset()
            if len(info) > 1 or info["TimeLimit.truncated"] is not False:
                infos[i] = info
            self._put(i, observation)
        return infos, reset_infos

    def reset(self, seeds: list[int | None], options: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """Reset each env with its seed and options; return the infos by the env's number."""
        infos: dict[int, dict[str, Any]] = {}
        for i, env in enumerate(self.envs, self.start):
            self.current = i
            given = options[i - self.start]
            observation, infos[i] = env.reset(seed=seeds[i - self.start], **({"options": given} if given else {}))
            self._put(i, observation)
        return infos

    def on_each(self, indices: list[int], name: str, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Return what ``render``, ``get_attr``, ``set_attr``, ``call`` or ``is_wrapped`` gives for these envs."""
        answers: list[Any] = []
        for i in indices:
            self.current = i
            env = self.envs[i - self.start]
            if name == "render":
                answers.append(env.render())
            elif name == "get_attr":
                answers.append(env.get_wrapper_attr(*args))
            elif name == "set_attr":
                setattr(env, *args)
                answers.append(None)
            elif name == "call":
                answers.append(env.get_wrapper_attr(args[0])(*args[1:], **kwargs))
            else:
                answers.append(is_wrapped(env, *args))
        return answers

    def close(self) -> None:
        """Close the envs."""
        for i, env in enumerate(self.envs, self.start):
            self.current = i
            env.close()
        if self.shared is not None:
            self.shared.close()

    def _shared(self) -> SharedArrays:
        if self.shared is None:
            raise RuntimeError("share() comes first")
        return self.shared

    def _put(self, i: int, observation: Any) -> None:
        for key, array in self._shared().observations.items():
            array[i] = observation if key is None else observation[key]


def run_worker(connection: Connection, env_fns: Sequence[Callable[[], gym.Env[Any, Any]]] | bytes, start: int) -> None:
    """Make the envs, and do what is asked until ``close``, or until whoever asks is gone.

    Each answer is a pair: the result, and None or what went wrong, as :func:`_failure` gives it.

    :param connection: Receives ``(name of a Worker's method, args, kwargs)``, or None for ``step``.
    :param env_fns: Make the envs; or their list, pickled.
    :param start: The number of the first env.
    """
    # Ctrl-C goes to all processes of a terminal: the one that trains decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    worker = Worker(start)
    request: tuple[str, Any, Any] = ("make", (env_fns,), {})
    try:
        while True:
            name, args, kwargs = request
            answer: tuple[Any, Any]
            try:
                answer = getattr(worker, name)(*args, **kwargs), None
            except Exception as error:
                answer = None, _failure(error, worker.current)
            try:
                connection.send(answer)
            except ConnectionError:
                raise
            except Exception as error:  # pickling what an env returned may fail in any way
                connection.send((None, _failure(error, worker.current)))
            if name == "close":
                return
            request = connection.recv() or ("step", (), {})
    except (EOFError, ConnectionError):
        pass


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _failure(error: Exception, env: int) -> tuple[Exception, str]:
    """Return an exception that can be sent, and its traceback as text."""
    text = f'\n"""\nin env {env}, process {os.getpid()}:\n{"".join(traceback.format_exception(error))}"""'
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error.with_traceback(None), text
