"""BatchedSubprocVecEnv: a VecEnv that runs several environments in each of its processes."""

import multiprocessing
import signal
import warnings
from collections import ChainMap
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from operator import methodcaller
from typing import Any, NoReturn

import cloudpickle  # type: ignore[import-untyped] # it ships no types
import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn
from stable_baselines3.common.vec_env.util import dict_to_obs

from sb3_lander.envs.batched_worker import EnvFns, SharedArrays, run_worker
from sb3_lander.envs.cores import usable_cores
from sb3_lander.envs.processes import prepare_processes

_GOODBYE = 5.0  # seconds that a process has to end after its envs are closed


class BatchedSubprocVecEnv(VecEnv):
    """Run ``n_envs`` environments in ``n_workers`` processes, with the contract and results of ``DummyVecEnv``.

    A step costs one message to each process rather than one to each env, as with SB3's ``SubprocVecEnv``: arrays go
    through shared memory, infos that say something through a pipe. It pays where the envs of a process need more than
    about 0.1 ms for a step together. An exception in an env is raised here, with its traceback there as the cause.
    A process that dies is one RuntimeError, and the VecEnv is then closed.

    :param env_fns: Make the envs, one each.
    :param n_workers: Processes, from 1 to ``len(env_fns)``; when None one a usable core, but at most one an env.
    :param start_method: As ``SubprocVecEnv``: ``"forkserver"`` where there is one when None, and ``"spawn"``
        elsewhere. With these a script needs ``if __name__ == "__main__":``.
    :raises ValueError: If an argument is out of range, or a space cannot be shared.
    """

    def __init__(self, env_fns: EnvFns, n_workers: int | None = None, start_method: str | None = None) -> None:
        n_envs, methods = len(env_fns), multiprocessing.get_all_start_methods()
        if n_envs < 1:
            raise ValueError("env_fns=[]: there must be at least 1 env")
        n_workers = min(n_envs, len(usable_cores())) if n_workers is None else n_workers
        if not 1 <= n_workers <= n_envs:
            raise ValueError(f"n_workers={n_workers!r}: give from 1 to {n_envs}, the number of envs, or None")
        if start_method is None:
            start_method = "forkserver" if "forkserver" in methods else "spawn"
        if start_method not in methods:
            raise ValueError(f"start_method={start_method!r}: this system has {', '.join(methods)}")
        self.n_workers = n_workers
        self.closed = self._is_stepping = False
        self._rows = [slice(int(part[0]), int(part[-1]) + 1) for part in np.array_split(range(n_envs), n_workers)]
        # With fork the functions are simply there, and need not be picklable.
        given = [env_fns[rows] if start_method == "fork" else cloudpickle.dumps(env_fns[rows]) for rows in self._rows]
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        prepare_processes()
        resource_tracker.ensure_running()
        context: Any = multiprocessing.get_context(start_method)
        try:
            for fns, rows in zip(given, self._rows, strict=True):
                pipe, other_end = context.Pipe()
                process = context.Process(target=run_worker, args=(other_end, fns, rows.start), daemon=True)
                self._pipes.append(pipe)
                process.start()
                self._processes.append(process)
                # Here at once, so that the process is the only one that holds it, and its death is seen.
                other_end.close()
            observation_space, action_space, metadata = self._receive()[0]
            self._shared = SharedArrays(observation_space, action_space, n_envs)
            try:
                self._ask("share", observation_space, action_space, n_envs, self._shared.memory.name)
            finally:
                # Its name: nobody else can open it, and it is gone when the last process is.
                self._shared.memory.unlink()
            super().__init__(n_envs, observation_space, action_space)
        except BaseException:
            self._end()
            raise
        self.metadata = metadata

    def reset(self) -> VecEnvObs:
        """Start a new episode in every env, with the seeds and options given since the last reset."""
        if self._is_stepping:
            self.step_wait()
        self._send([("reset", (self._seeds[rows], self._options[rows]), {}) for rows in self._rows])
        self.reset_infos = [info for infos in self._receive() for info in infos]
        self._reset_seeds()
        self._reset_options()
        return self._observations()

    def step_async(self, actions: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Start a step in every env.

        :param actions: Shape ``(n_envs, *action_space.shape)``; copied.
        :raises RuntimeError: While a step is under way, or after :meth:`close`.
        :raises ValueError: If there is not one for each env.
        """
        self._check_ready()
        if len(actions) != self.num_envs:
            raise ValueError(f"{len(actions)} actions for {self.num_envs} envs")
        slots = self._shared.actions
        if isinstance(actions, np.ndarray) and (actions.shape, actions.dtype) == (slots.shape, slots.dtype):
            slots[:] = actions
            self._send([None] * self.n_workers)
        else:
            # What the envs get is to be what was given, down to its type.
            self._send([("step", (actions[rows],), {}) for rows in self._rows])
        self._is_stepping = True

    def step_wait(self) -> VecEnvStepReturn:
        """Wait for the step; the envs whose episode ended are returned already reset.

        :return: observations ``(n_envs, ...)``, rewards (float32) and dones ``(n_envs,)``, and one new info for each.
        :raises RuntimeError: If no step was started, or a process died.
        """
        if not self._is_stepping:
            raise RuntimeError("step_wait() without step_async(), or after close()")
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for said, of_resets in self._receive():
            for i, info in said.items():
                infos[i] = info
            for i, info in of_resets.items():
                self.reset_infos[i] = info
        return self._observations(), self._shared.rewards.copy(), self._shared.dones.copy(), infos

    def close(self) -> None:
        """Close the envs and end the processes; closing twice is allowed."""
        if self.closed:
            return
        try:
            if self._is_stepping:
                self.step_wait()
            self._ask("close")
        finally:
            self._end()

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """Return each env's image; None for each, and a warning, unless ``render_mode`` is ``"rgb_array"``."""
        if self.render_mode != "rgb_array":
            warnings.warn(f"render_mode is {self.render_mode!r}: only 'rgb_array' gives images", stacklevel=2)
            return [None] * self.num_envs
        return self._on_each(None, methodcaller("render"))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return each env's attribute, or that of the first of its wrappers that has it."""
        return self._on_each(indices, methodcaller("get_wrapper_attr", attr_name))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of each env's outermost wrapper, as ``DummyVecEnv`` does."""
        self._on_each(indices, setattr, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method of each env, or of the first of its wrappers that has it; return what they return."""
        return self._on_each(indices, _call, method_name, *args, **kwargs)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Tell whether each env is wrapped in this wrapper."""
        return self._on_each(indices, is_wrapped, wrapper_class)

    def __getstate__(self) -> NoReturn:
        raise TypeError("a BatchedSubprocVecEnv cannot be copied or pickled: its envs live in other processes")

    def _observations(self) -> VecEnvObs:
        return dict_to_obs(self.observation_space, {key: a.copy() for key, a in self._shared.observations.items()})

    def _on_each(self, indices: VecEnvIndices, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> list[Any]:
        chosen = [range(self.num_envs)[i] for i in self._get_indices(indices)]
        answers = ChainMap(*self._ask("on_each", chosen, function, *args, **kwargs))
        return [answers[place] for place in range(len(chosen))]

    def _ask(self, name: str, /, *args: Any, **kwargs: Any) -> list[Any]:
        self._send([(name, args, kwargs)] * self.n_workers)
        return self._receive()

    def _check_ready(self) -> None:
        if self.closed:
            raise RuntimeError("the BatchedSubprocVecEnv is closed")
        if self._is_stepping:
            raise RuntimeError("step_wait() is due first")

    def _send(self, requests: Sequence[Any]) -> None:
        self._check_ready()
        for worker, (pipe, request) in enumerate(zip(self._pipes, requests, strict=True)):
            try:
                pipe.send(request)
            except ConnectionError:
                self._bury(worker)

    def _receive(self) -> list[Any]:
        """Return what every process answers; raise the first one's exception once all have answered."""
        self._is_stepping = False
        answers = []
        for worker, pipe in enumerate(self._pipes):
            try:
                answers.append(pipe.recv())
            except (EOFError, ConnectionError):
                self._bury(worker)
        for _, failure in answers:
            if failure is not None:
                raise failure[0] from RuntimeError(failure[1])
        return [answer for answer, _ in answers]

    def _bury(self, worker: int) -> NoReturn:
        process, rows = self._processes[worker], self._rows[worker]
        process.join(_GOODBYE)
        code = process.exitcode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        self._end()
        raise RuntimeError(
            f"process {process.pid} of envs {rows.start} to {rows.stop - 1} died ({how}), so the VecEnv is closed; "
            "if it never started, see its own message above"
        )

    def _end(self) -> None:
        """End the processes, whatever they do."""
        self.closed, self._is_stepping = True, False
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_GOODBYE)
            if process.is_alive():
                process.terminate()
                process.join()
        if hasattr(self, "_shared"):
            self._shared.close()
            del self._shared


def _call(env: gym.Env[Any, Any], name: str, /, *args: Any, **kwargs: Any) -> Any:
    return env.get_wrapper_attr(name)(*args, **kwargs)
