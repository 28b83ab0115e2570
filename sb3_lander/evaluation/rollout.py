"""Play the episodes of fixed tasks so that each result depends on nothing but the model and its task.

Three things could leak from one episode into another, and the lander is chaotic enough to show the last bit
of each. What an environment keeps over a reset: so every task gets a fresh instance. The random numbers of a
stochastic policy: so its episodes are played one after another, each from its own seed. The rounding of
float32 products, which depends on the numbers of rows and of threads: so ``predict`` always gets the same
number of rows, on one thread, after :meth:`Rollout.settled` has tried that a row's place does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.type_aliases import PolicyPredictor

from sb3_lander.agents.agent import ObsNormalizer
from sb3_lander.evaluation.outcome import FlightRecorder, Outcome
from sb3_lander.evaluation.report import Episode


def _buffer(space: spaces.Space[Any], rows: int) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _buffer(subspace, rows) for key, subspace in space.spaces.items()}
    return np.zeros((rows, *(space.shape or ())), dtype=space.dtype)


def _put(buffer: Any, row: int, observation: Any) -> None:
    if isinstance(buffer, dict):
        for key, rows in buffer.items():
            rows[row] = observation[key]
    else:
        buffer[row] = observation


def _roll(batch: Any, shift: int) -> Any:
    if isinstance(batch, dict):
        return {key: np.roll(rows, shift, axis=0) for key, rows in batch.items()}
    return np.roll(batch, shift, axis=0)


@contextmanager
def _one_thread_and_own_random_numbers() -> Iterator[None]:
    """Leave torch's threads and the random numbers as they were: a training run may go on afterwards."""
    # torch leaves this function of its own without annotations.
    cuda_in_use = th.cuda.is_initialized()  # type: ignore[no-untyped-call]
    threads, numpy_state = th.get_num_threads(), np.random.get_state()
    th.set_num_threads(1)
    try:
        with th.random.fork_rng(devices=range(th.cuda.device_count()) if cuda_in_use else ()):
            yield
    finally:
        th.set_num_threads(threads)
        np.random.set_state(numpy_state)


@dataclass
class _Group:
    """The episodes in flight that share one call of ``predict``; an episode keeps its row to its end."""

    observations: Any
    episode_starts: np.ndarray
    envs: dict[int, tuple[gym.Env[Any, Any], FlightRecorder, int]] = field(default_factory=dict)
    state: Any = None


@dataclass
class Rollout:
    """Plays tasks of one environment with one model; cloudpickle can send it to another process.

    :param predictor: Anything with SB3's ``predict``.
    :param env_spec: The environment, as registered: another process need not have registered it.
    :param env_kwargs: Keyword arguments of ``gym.make``.
    :param success_threshold: The return that counts as a success.
    :param env_wrapper: Applied to each environment, outside the recorder.
    :param normalizer: Statistics for the observations.
    :param deterministic: Whether the policy takes its most likely action.
    :param n_envs: Episodes in flight at a time.
    :param batch_size: Rows in every call of ``predict``; unused rows hold an old observation.
    """

    predictor: PolicyPredictor
    env_spec: EnvSpec
    env_kwargs: dict[str, Any]
    success_threshold: float
    env_wrapper: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None
    normalizer: ObsNormalizer | None = None
    deterministic: bool = True
    n_envs: int = 32
    batch_size: int = 32

    @cached_property
    def observation_space(self) -> spaces.Space[Any]:
        """What the policy sees of the environment, wrapped."""
        env, _ = self.make_env()
        env.close()
        return env.observation_space

    def make_env(self) -> tuple[gym.Env[Any, Any], FlightRecorder]:
        """Return a fresh environment, wrapped, and the recorder inside it."""
        recorder = FlightRecorder(gym.make(self.env_spec, disable_env_checker=True, **self.env_kwargs))
        return (recorder if self.env_wrapper is None else self.env_wrapper(recorder)), recorder

    def play(self, seeds: Iterable[int], on_episode: Callable[[Episode], object]) -> None:
        """Play one episode per seed and report each as it ends; a free place takes the next seed at once."""
        queue, groups = iter(seeds), []
        with _one_thread_and_own_random_numbers():
            for first in range(0, self.n_envs, self.batch_size):
                group = _Group(self._buffer(), np.ones(self.batch_size, dtype=bool))
                for row in range(min(self.batch_size, self.n_envs - first)):
                    self._start(group, row, queue)
                groups.append(group)
            while groups := [group for group in groups if group.envs]:
                for group in groups:
                    self._step(group, queue, on_episode)

    def _start(self, group: _Group, row: int, seeds: Iterator[int]) -> None:
        seed = next(seeds, None)
        if seed is None:
            return
        env, recorder = self.make_env()
        if not self.deterministic:
            th.manual_seed(seed)
            np.random.seed(seed % 2**32)
        observation, _ = env.reset(seed=seed)
        _put(group.observations, row, observation)
        group.episode_starts[row] = True
        group.envs[row] = (env, recorder, seed)

    def _predict(self, observations: Any, state: Any, episode_starts: np.ndarray) -> tuple[np.ndarray, Any]:
        if self.normalizer is not None:
            observations = self.normalizer.normalize_obs(observations)
        return self.predictor.predict(
            observations, state=state, episode_start=episode_starts, deterministic=self.deterministic
        )

    def _step(self, group: _Group, seeds: Iterator[int], on_episode: Callable[[Episode], object]) -> None:
        actions, group.state = self._predict(group.observations, group.state, group.episode_starts)
        group.episode_starts[:] = False
        for row, (env, recorder, seed) in list(group.envs.items()):
            observation, _, terminated, truncated, _ = env.step(actions[row])
            if not (terminated or truncated):
                _put(group.observations, row, observation)
                continue
            on_episode(self._episode(recorder, seed, recorder.outcome(terminated)))
            env.close()
            del group.envs[row]
            self._start(group, row, seeds)

    def _episode(self, recorder: FlightRecorder, seed: int, outcome: Outcome) -> Episode:
        return Episode(
            seed=seed,
            episode_return=recorder.episode_return,
            length=recorder.length,
            success=recorder.episode_return >= self.success_threshold,
            outcome=outcome,
            fuel=recorder.fuel,
            touchdown_speed=recorder.touchdown_speed,
            touchdown_tilt=recorder.touchdown_tilt,
            touchdown_distance=recorder.touchdown_distance,
        )

    def settled(self) -> Rollout:
        """Return this rollout, with one row at a time where the place in a full batch would matter.

        Matrix libraries may round the rows of one product differently. Measured with 32 rows (torch 2.13, MKL,
        AVX2): only in layers of at most 11 outputs whose number of inputs is no multiple of 4, such as
        19 -> 2 or 9 -> 4. A stochastic policy plays one episode at a time, as said at the top.
        """
        if not self.deterministic:
            return replace(self, n_envs=1, batch_size=1)
        with _one_thread_and_own_random_numbers():
            return self if self.batch_size == 1 or self._rows_agree() else replace(self, batch_size=1)

    def _rows_agree(self) -> bool:
        """Try whether an observation gets the same action, to the last bit, in every row, twice in a row."""
        batch = self._buffer()
        self.observation_space.seed(0)
        for row in range(self.batch_size):
            _put(batch, row, self.observation_space.sample())
        starts = np.ones(self.batch_size, dtype=bool)
        reference: list[bytes] = []
        for shift in range(self.batch_size):
            rolled = _roll(batch, shift)
            first, state = self._predict(rolled, None, starts)
            second, _ = self._predict(rolled, state, ~starts)
            actions = [np.roll(array, -shift, axis=0).tobytes() for array in (first, second)]
            reference = reference or actions
            if actions != reference:
                return False
        return True

    def _buffer(self) -> Any:
        return _buffer(self.observation_space, self.batch_size)
