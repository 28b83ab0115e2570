"""One process of a BatchedSubprocVecEnv: its environments, and the arrays that it shares with the others."""

import copy
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import cloudpickle  # type: ignore[import-untyped] # it ships no types
import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env.patch_gym import _patch_env
from stable_baselines3.common.vec_env.util import obs_space_info

EnvFns = Sequence[Callable[[], gym.Env[Any, Any]]]
_Space = spaces.Space[Any]


class SharedArrays:
    """A step's observations, rewards, dones and actions of all envs, in new memory or in that of another process."""

    def __init__(self, observation_space: _Space, action_space: _Space, n_envs: int, name: str | None = None) -> None:
        keys, shapes, dtypes = obs_space_info(observation_space)
        fields: list[tuple[str, Any, Any]] = [("reward", np.float32, ()), ("done", np.bool_, ())]
        fields.append(("action", action_space.dtype, action_space.shape))
        fields += [(f"observation {i}", dtypes[key], shapes[key]) for i, key in enumerate(keys)]
        for field, dtype, shape in fields:
            if shape is None or dtype is None or np.dtype(dtype).hasobject:
                space = action_space if field == "action" else observation_space
                raise ValueError(f"{space}: only spaces whose values have a fixed shape and number type can be shared")
        record = np.dtype(fields, align=True)
        self.memory = SharedMemory(name, create=name is None, size=n_envs * record.itemsize)
        records: npt.NDArray[Any] = np.ndarray(n_envs, record, self.memory.buf)
        self.rewards, self.dones, self.actions = records["reward"], records["done"], records["action"]
        self.observations: dict[Any, Any] = {key: records[f"observation {i}"] for i, key in enumerate(keys)}

    def close(self) -> None:
        """Give the memory back; the arrays are no more."""
        del self.rewards, self.dones, self.actions, self.observations
        self.memory.close()


class Worker:
    """Some of the envs, one after another in this process; its public methods are what the VecEnv may ask for."""

    def __init__(self, start: int) -> None:
        # The numbers, in the whole VecEnv, of the first env and of the one that is at work.
        self.start = self.current = start
        self.envs: list[gym.Env[Any, Any]] = []

    def make(self, env_fns: EnvFns | bytes) -> tuple[_Space, _Space, dict[str, Any]]:
        """Make the envs; return the first one's spaces and metadata."""
        made = cloudpickle.loads(env_fns) if isinstance(env_fns, bytes) else env_fns
        for i, env_fn in enumerate(made, self.start):
            self.current = i
            self.envs.append(_patch_env(env_fn()))
        if len({id(env.unwrapped) for env in self.envs}) < len(self.envs):
            raise ValueError("the functions that make the envs returned the same env twice: each must make a new one")
        return self.envs[0].observation_space, self.envs[0].action_space, self.envs[0].metadata

    def share(self, *args: Any) -> None:
        """Open the memory that the VecEnv made."""
        self.shared = SharedArrays(*args)

    def step(self, actions: Any = None) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
        """Step each env; return, by its number, infos that say more than that an episode goes on, and resets' infos."""
        shared = self.shared
        if actions is None:
            # They are in the shared memory. A copy, since an env may keep its action.
            actions = shared.actions[self.start : self.start + len(self.envs)].copy()
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
            self._put(observation)
        return infos, reset_infos

    def reset(self, seeds: list[int | None], options: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Reset each env with its seed and options; return the infos."""
        infos = []
        for i, (env, seed, given) in enumerate(zip(self.envs, seeds, options, strict=True), self.start):
            self.current = i
            observation, info = env.reset(seed=seed, **({"options": given} if given else {}))
            self._put(observation)
            infos.append(info)
        return infos

    def on_each(self, indices: list[int], function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> dict[int, Any]:
        """Return what a function gives for those of the envs that are here, by their place in ``indices``."""
        answers = {}
        for place, i in enumerate(indices):
            if 0 <= i - self.start < len(self.envs):
                self.current = i
                answers[place] = function(self.envs[i - self.start], *args, **kwargs)
        return answers

    def close(self) -> None:
        """Close the envs."""
        for i, env in enumerate(self.envs, self.start):
            self.current = i
            env.close()
        self.shared.close()

    def _put(self, observation: Any) -> None:
        for key, array in self.shared.observations.items():
            array[self.current] = observation if key is None else observation[key]


def run_worker(connection: Connection, env_fns: EnvFns | bytes, start: int) -> None:
    """Make the envs, and answer requests until ``close``, or until whoever asks is gone.

    A request is ``(name of a Worker's method, args, kwargs)``, or None for ``step``; an answer ``(result, failure)``.
    """
    # Ctrl-C goes to all processes of a terminal: the one that trains decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    worker = Worker(start)
    request: tuple[str, Any, Any] = ("make", (env_fns,), {})
    with suppress(EOFError, ConnectionError):
        while True:
            name, args, kwargs = request
            try:
                answer = ForkingPickler.dumps((getattr(worker, name)(*args, **kwargs), None))
            except Exception as error:  # an env's, or that what it returned cannot be pickled
                answer = ForkingPickler.dumps((None, _failure(error, worker.current)))
            connection.send_bytes(answer)
            if name == "close":
                return
            request = connection.recv() or ("step", (), {})


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
