"""Agent: a trained policy with all that it needs to act."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander.agents import safe_policy, trusted
from sb3_lander.agents.environment import AgentEnv, EnvWrapper
from sb3_lander.agents.safe_policy import TRUST, UntrustedError
from sb3_lander.envs.registration import DISCRETE_V3_ID, V3_ID
from sb3_lander.runs import normalization
from sb3_lander.runs.archive import read_settings
from sb3_lander.runs.run import Run, thin_out

SHIPPED = Path(__file__).resolve().parent / "trained"
"""The agents that ship with the package, in the layout of the Zoo's ``logs``."""


class ObsNormalizer(Protocol):
    """What is needed of SB3's ``VecNormalize``."""

    def normalize_obs(self, obs: Any) -> Any:
        """Normalise a batch of observations, without changing the statistics."""


@dataclass(frozen=True)
class Agent:
    """A policy ready to act: its normalisation, its environment, and where it came from.

    :param policy: Anything with SB3's ``predict``; a policy of SB3's, on the CPU, where it was loaded.
    :param env: The environment that it sees.
    :param vec_normalize: Statistics for its observations, frozen; None where they are not normalised.
    :param step: Environment steps that had been taken when it was saved.
    :param model: Its ``.zip``; None if it was not loaded.
    :param statistics: The file of :attr:`vec_normalize`.
    :param borrowed: Whether the statistics are the run's latest, as the Zoo's ``enjoy`` takes them, not its own.
    :param run: The run that it belongs to.
    :param started: When its training began, in seconds since the epoch; None if unknown.
    """

    policy: PolicyPredictor
    env: AgentEnv
    vec_normalize: ObsNormalizer | None = None
    step: int = 0
    model: Path | None = None
    statistics: Path | None = None
    borrowed: bool = False
    run: Run | None = None
    started: float | None = None

    @classmethod
    def load(cls, path: str | Path, *, best: bool = False, **options: Any) -> Agent:
        """Load an agent. By default no code of its files runs.

        :param path: A run folder of the RL Zoo, whose final model is taken, or a ``.zip`` of any algorithm of the Zoo;
            in a run folder the run's settings are heeded.
        :param best: Take the run's ``best_model.zip`` instead.
        :param options: ``trust=True`` to load as SB3 does, by unpickling, which can run any code of the files' author;
            ``env_id`` and ``env_kwargs`` for another environment than the run's (without a run, that is
            ``LunarLander-v3`` for discrete actions, else ``LunarLanderContinuous-v3``); ``algo`` to name the algorithm
            where it is trusted.
        :raises FileNotFoundError: If there is no such file, or the run has no such model or lacks its statistics.
        :raises ValueError: If a file is damaged, or the run has settings that cannot be heeded.
        :raises UntrustedError: If a file holds what only unpickling could read.
        """
        path = Path(path)
        run = Run.of(path)
        if best and not path.is_dir():
            raise ValueError(f"{path} is one model: best needs a run folder")
        loader = _Loader(run, **options)
        return loader.load(run.model(best=best) if run is not None and path.is_dir() else path)

    @classmethod
    def load_checkpoints(cls, path: str | Path, *, every: int | None = None, **options: Any) -> Iterator[Agent]:
        """Return the agents of a run's checkpoints, in the order of their steps, each loaded when it is asked for.

        :param path: The run folder.
        :param every: Keep only those closest to the multiples of so many steps, :func:`~sb3_lander.runs.run.thin_out`.
        :param options: As for :meth:`load`.
        :raises FileNotFoundError: If it is no run, or has no checkpoints.
        :raises ValueError: As :meth:`load` does.
        """
        path = Path(path)
        run = Run.of(path)
        if run is None or not path.is_dir():
            raise ValueError(f"{path} is one model: checkpoints need a run folder")
        if not run.checkpoints:
            raise FileNotFoundError(f"{path} has no checkpoints: train with --save-freq")
        chosen = run.checkpoints if every is None else thin_out(run.checkpoints, every)
        loader = _Loader(run, **options)
        return (loader.load(checkpoint.model) for checkpoint in chosen)

    @classmethod
    def of(
        cls,
        model: BaseAlgorithm | PolicyPredictor,
        env_id: str,
        env_kwargs: Mapping[str, Any] | None = None,
        *,
        env_wrapper: EnvWrapper | None = None,
        vec_normalize: ObsNormalizer | None = None,
    ) -> Agent:
        """Make an agent of a model that is at hand, such as one that is being trained.

        :param model: An algorithm, whose policy and normalisation are used, or anything with SB3's ``predict``.
        :param env_id: Its environment.
        :param env_kwargs: Keyword arguments of ``gym.make``.
        :param env_wrapper: Put around each environment.
        :param vec_normalize: Statistics for the observations; the algorithm's own when None.
        """
        if isinstance(model, BaseAlgorithm):
            vec_normalize = model.get_vec_normalize_env() if vec_normalize is None else vec_normalize
            model = model.policy
        return cls(model, AgentEnv(env_id, dict(env_kwargs or {}), env_wrapper), vec_normalize)

    @property
    def env_id(self) -> str:
        """Id of its environment in gymnasium's registry."""
        return self.env.env_id

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of its environment."""
        return self.env.env_kwargs

    def make_env(self, **env_kwargs: Any) -> gym.Env[Any, Any]:
        """Make the environment as the agent sees it, see :meth:`~sb3_lander.agents.environment.AgentEnv.make`."""
        return self.env.make(**env_kwargs)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Return the action, and the state of a recurrent policy.

        :param observation: As the environment returns it, one or a batch of shape ``(n, *obs_shape)``.
        :param state: What the last call returned; None at first.
        :param episode_start: Where an episode begins, shape ``(n,)``.
        :param deterministic: Take the most likely action.
        """
        if self.vec_normalize is not None:
            observation = self.vec_normalize.normalize_obs(observation)
        return self.policy.predict(observation, state, episode_start, deterministic)


@dataclass
class _Loader:
    """What the models of one path have in common."""

    run: Run | None
    trust: bool = False
    algo: str | None = None
    env_id: str | None = None
    env_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.algo is not None and not self.trust:
            raise ValueError(f"algo={self.algo!r} says how to unpickle a model: it goes with --trust (trust=True)")
        self.env = AgentEnv.of(self.run, self.env_id, self.env_kwargs, trust=self.trust)

    def load(self, model: Path) -> Agent:
        settings = read_settings(model)
        file, borrowed = self._statistics_file(model)
        if self.trust:
            algo = self.algo or (trusted.algorithm_of(settings) if self.run is None else self.run.algo)
            policy = trusted.load_policy(model, algo)
        else:
            policy = safe_policy.load_policy(model, settings, None if self.run is None else self.env.make)
        env = self.env
        if self.run is None and self.env_id is None and isinstance(policy.action_space, spaces.Discrete):
            env = replace(env, env_id=DISCRETE_V3_ID)
        statistics = None if file is None else self._load_statistics(file)
        step, start_time = settings.get("num_timesteps"), settings.get("start_time")
        step = step if isinstance(step, int) else 0
        started = start_time / 1e9 if isinstance(start_time, int) else None
        return Agent(policy, env, statistics, step, model, file, borrowed, self.run, started)

    def _statistics_file(self, model: Path) -> tuple[Path | None, bool]:
        """Return the file of the model's statistics, and whether it is the run's latest for lack of its own."""
        if (plain := normalization.beside(model)).is_file():
            return plain, False
        run = self.run
        if run is None or not run.normalizes_observations:
            return None, False
        own = next((c.vecnormalize for c in run.checkpoints if c.model.name == model.name), None)
        if own is None and run.vecnormalize is None:
            raise FileNotFoundError(f"{run.path} normalises its observations, but has no vecnormalize.pkl")
        return own or run.vecnormalize, own is None and model != run.final_model

    def _load_statistics(self, file: Path) -> VecNormalize:
        plain = file.suffix == ".npz"
        if not plain and not self.trust:
            raise UntrustedError(f"VecNormalize's statistics are a pickle, {file}, which can run any code{TRUST}")
        with contextlib.closing(DummyVecEnv([self.env.make])) as venv:
            return normalization.load(file, venv) if plain else trusted.load_statistics(file, venv)


def load_policy(path: str | Path) -> PolicyPredictor:
    """Load a policy without running any code from its file: what :meth:`Agent.load` finds, as it stands.

    :param path: As for :meth:`Agent.load`.
    :raises ValueError: If it needs normalised observations, which an :class:`Agent` makes.
    """
    agent = Agent.load(path)
    if agent.vec_normalize is not None:
        raise ValueError(f"{path} normalises its observations: use Agent.load, whose predict does so too")
    return agent.policy


def shipped_agent(algo: str | None = None, *, env_id: str = V3_ID, weather: bool = False) -> Path:
    """Return the run folder of an agent that ships with the package.

    :param algo: The Zoo's name of its algorithm; the one whose report has the highest interquartile mean when None.
    :param env_id: The lander that it flies; v2 and v3 are the same task.
    :param weather: The agent for any weather, instead of the best one without wind.
    :raises ValueError: If none of this algorithm ships for this environment.
    """
    logs = SHIPPED / "weather" if weather else SHIPPED
    ships, name = sorted(logs.glob("*/*_1")), f"{env_id.replace('-v2', '-v3')}_1"
    found = [run for run in ships if run.name == name and algo in (None, run.parent.name)]
    if not found:
        valid = ", ".join(f"{run.parent.name} for {run.name.removesuffix('_1')}" for run in ships)
        which = ("" if algo is None else f"of {algo!r} ") + f"for {env_id!r}" + (" and any weather" if weather else "")
        raise ValueError(f"no agent {which} ships with the package; valid: {valid}")
    return max(found, key=lambda run: json.loads((run / "report.json").read_text())["report"]["iqm_return"])
