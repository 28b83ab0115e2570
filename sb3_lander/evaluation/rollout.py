"""Play the episodes of fixed tasks so that each result depends on nothing but the model and its task.

Three things could leak from one episode into another, and the lander is chaotic enough to show the last bit of each.
What an environment keeps over a reset: so every task gets a fresh instance. The random numbers of a stochastic policy:
so its episodes are played one after another, each from its own seed. The rounding of float32 products, which depends on
the numbers of rows and of threads: so ``predict`` always gets the same number of rows, on one thread, after
:meth:`Rollout.settled` has tried that a row's place does not matter. Unused rows hold any observation.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector.utils import concatenate, create_empty_array
from stable_baselines3.common.type_aliases import PolicyPredictor

from sb3_lander.agents.agent import Agent, ObsNormalizer
from sb3_lander.agents.environment import EnvWrapper
from sb3_lander.evaluation.outcome import Episode, FlightRecorder


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

    observations: list[Any]
    episode_starts: np.ndarray
    envs: dict[int, tuple[gym.Env[Any, Any], FlightRecorder, int]] = field(default_factory=dict)
    state: Any = None


@dataclass
class Rollout:
    """Plays tasks of one environment with one model, as :func:`~sb3_lander.evaluation.evaluate` is told.

    cloudpickle can send it to another process, which need not have registered the environment.
    """

    predictor: PolicyPredictor
    env_spec: EnvSpec
    env_kwargs: dict[str, Any]
    success_threshold: float
    env_wrapper: EnvWrapper | None = None
    normalizer: ObsNormalizer | None = None
    deterministic: bool = True
    n_envs: int = 32
    batch_size: int = 32

    @cached_property
    def env_spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """What the policy sees of the environment, wrapped, and how it acts in it."""
        try:
            env, _ = self._make_env()
        except (gym.error.Error, TypeError, AssertionError) as error:
            raise ValueError(f"cannot make {self.env_spec.id} with {self.env_kwargs}: {error}") from error
        env.close()
        return env.observation_space, env.action_space

    def _make_env(self) -> tuple[gym.Env[Any, Any], FlightRecorder]:
        recorder = FlightRecorder(gym.make(self.env_spec, disable_env_checker=True, **self.env_kwargs))
        return (recorder if self.env_wrapper is None else self.env_wrapper(recorder)), recorder

    def play(self, seeds: Iterable[int]) -> Generator[Episode, None, None]:
        """Play one episode per seed and yield each as it ends; a free place takes the next seed at once."""
        queue, groups, (space, _) = iter(seeds), [], self.env_spaces
        space.seed(0)
        with _one_thread_and_own_random_numbers():
            for first in range(0, self.n_envs, self.batch_size):
                group = _Group([space.sample()] * self.batch_size, np.ones(self.batch_size, dtype=bool))
                for row in range(min(self.batch_size, self.n_envs - first)):
                    self._start(group, row, queue)
                groups.append(group)
            while groups := [group for group in groups if group.envs]:
                for group in groups:
                    yield from self._step(group, queue)

    def _start(self, group: _Group, row: int, seeds: Iterator[int]) -> None:
        if (seed := next(seeds, None)) is None:
            return
        env, recorder = self._make_env()
        if not self.deterministic:
            th.manual_seed(seed)
            np.random.seed(seed % 2**32)
        group.observations[row], _ = env.reset(seed=seed)
        group.episode_starts[row] = True
        group.envs[row] = (env, recorder, seed)

    def _predict(self, rows: Sequence[Any], state: Any, episode_starts: np.ndarray) -> tuple[np.ndarray, Any]:
        batch: Any = create_empty_array(self.env_spaces[0], len(rows))
        observations: Any = concatenate(self.env_spaces[0], rows, batch)
        if self.normalizer is not None:
            observations = self.normalizer.normalize_obs(observations)
        return self.predictor.predict(
            observations, state=state, episode_start=episode_starts, deterministic=self.deterministic
        )

    def _step(self, group: _Group, seeds: Iterator[int]) -> Iterator[Episode]:
        actions, group.state = self._predict(group.observations, group.state, group.episode_starts)
        group.episode_starts[:] = False
        for row, (env, recorder, seed) in list(group.envs.items()):
            observation, _, terminated, truncated, _ = env.step(actions[row])
            if not (terminated or truncated):
                group.observations[row] = observation
                continue
            yield recorder.episode(seed, self.success_threshold, terminated)
            env.close()
            del group.envs[row]
            self._start(group, row, seeds)

    def settled(self) -> Rollout:
        """Return this rollout, with one row at a time where the place in a full batch would matter.

        Matrix libraries may round the rows of one product differently. Measured with 32 rows (torch 2.13, MKL, AVX2):
        only in layers of at most 11 outputs whose number of inputs is no multiple of 4, such as 19 -> 2 or 9 -> 4.
        """
        if not self.deterministic:
            return replace(self, n_envs=1, batch_size=1)
        with _one_thread_and_own_random_numbers():
            return self if self.batch_size == 1 or self._rows_agree() else replace(self, batch_size=1)

    def _rows_agree(self) -> bool:
        """Try whether an observation gets the same action, to the last bit, in every row, twice in a row."""
        self.env_spaces[0].seed(0)
        rows = [self.env_spaces[0].sample() for _ in range(self.batch_size)]
        starts = np.ones(self.batch_size, dtype=bool)
        found = set()
        for shift in range(self.batch_size):
            rolled = rows[-shift:] + rows[:-shift]
            first, state = self._predict(rolled, None, starts)
            second, _ = self._predict(rolled, state, ~starts)
            found.add(np.roll([first, second], -shift, axis=1).tobytes())
            if len(found) > 1:
                return False
        return True


class _Watcher(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gym.Env[Any, Any], look: Callable[[gym.Env[Any, Any]], object]) -> None:
        super().__init__(env)
        self._look = look

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        result = super().reset(seed=seed, options=options)
        self._look(self.env)
        return result

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self._look(self.env)
        return result


def watched(agent: Agent, look: Callable[[gym.Env[Any, Any]], object]) -> Agent:
    """Return an agent in environments that a function looks at after the reset and after each step."""
    own = agent.env.wrapper
    env = replace(agent.env, wrapper=lambda env: _Watcher(env if own is None else own(env), look))
    return replace(agent, env=env)
