"""The environment that an agent was trained on, as its run's files tell, made without running code of their choice."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from sb3_lander.agents.safe_policy import TRUST, UntrustedError
from sb3_lander.envs.registration import V3_ID, register_envs
from sb3_lander.runs.entries import PREFER_ENVPOOL, vec_env_wrappers
from sb3_lander.runs.run import Run

EnvWrapper = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]

_SAFE_WRAPPERS = {
    "gymnasium.wrappers.ClipAction",
    "gymnasium.wrappers.FlattenObservation",
    "gymnasium.wrappers.RescaleAction",
    "rl_zoo3.wrappers.HistoryWrapper",
    "rl_zoo3.wrappers.MaskVelocityWrapper",
    "rl_zoo3.wrappers.TimeFeatureWrapper",
    "sb3_lander.envs.RandomWeather",
    "sb3_lander.envs.SuccessWrapper",
}
"""Wrappers whose making runs no code but their own; any callable in ``env_wrapper`` would be called."""

_HARMLESS_VEC_WRAPPERS = (*PREFER_ENVPOOL, "stable_baselines3.common.vec_env.VecMonitor")
"""Wrappers that leave observations and actions as they are."""


@dataclass(frozen=True)
class AgentEnv:
    """How to make the environment that an agent sees.

    :param env_id: Id in gymnasium's registry.
    :param env_kwargs: Keyword arguments of ``gym.make``.
    :param wrapper: Put around each environment, for policies that see wrapped observations.
    """

    env_id: str
    env_kwargs: dict[str, Any]
    wrapper: EnvWrapper | None = None

    @classmethod
    def of(
        cls, run: Run | None, env_id: str | None = None, env_kwargs: Mapping[str, Any] | None = None, *, trust: bool
    ) -> AgentEnv:
        """Find out which environment it is.

        :param run: The agent's run; None for a model on its own.
        :param env_id: Another environment than the run's; ``LunarLanderContinuous-v3`` without either.
        :param env_kwargs: Keyword arguments over those of the run.
        :param trust: Import what the run's files name: packages, any environment and wrapper.
        :raises ValueError: If the environment is unknown, or the run has settings that cannot be heeded.
        :raises UntrustedError: If making it could run any code, and ``trust`` is not given.
        """
        register_envs()
        config: Mapping[str, Any] = {} if run is None else run.config
        if config.get("frame_stack"):
            raise ValueError(f"the run stacks frames (frame_stack: {config['frame_stack']}), which is not supported")
        for name, _ in vec_env_wrappers(config):
            if name not in _HARMLESS_VEC_WRAPPERS:
                raise ValueError(f"the run's vec_env_wrapper {name!r} may change observations: it is not supported")
        if run is not None and not trust:
            _check_safe(run)
        elif run is not None:
            for package in run.args.get("gym_packages") or []:
                importlib.import_module(package)
        own_id, own_kwargs = (V3_ID, {}) if run is None else (run.env_id, run.env_kwargs)
        made = cls(env_id or own_id, {**own_kwargs, **(env_kwargs or {})}, _wrapper(config))
        find_spec(made.env_id)
        return made

    def make(self, **env_kwargs: Any) -> gym.Env[Any, Any]:
        """Make the environment, wrapped.

        :param env_kwargs: Keyword arguments of ``gym.make`` over those of the agent, as ``render_mode="human"``.
        :raises ValueError: If it cannot be made with these.
        """
        kwargs = {**self.env_kwargs, **env_kwargs}
        try:
            # By its spec, which gymnasium does not warn of: the id is the run's, not a choice made now.
            env: gym.Env[Any, Any] = gym.make(gym.spec(self.env_id), **kwargs)
            return env if self.wrapper is None else self.wrapper(env)
        except (gym.error.Error, TypeError, AssertionError) as error:
            raise ValueError(f"cannot make {self.env_id} with {kwargs}: {error}") from error


def find_spec(env_id: str) -> EnvSpec:
    """Return what gymnasium's registry has of an environment; a :class:`ValueError` says that it is unknown."""
    register_envs()
    try:
        return gym.spec(env_id)
    except (gym.error.Error, ImportError) as error:
        raise ValueError(f"unknown environment {env_id!r}: {error}") from error


def _check_safe(run: Run) -> None:
    spec = gym.registry.get(run.env_id)
    if spec is None or not str(spec.entry_point).startswith("gymnasium.envs."):
        named = f"the environment {run.env_id!r:.80} is none of gymnasium's own"
        raise UntrustedError(f"{named}, so making it may run any code{TRUST}")
    wrappers = run.config.get("env_wrapper") or []
    for wrapper in wrappers if isinstance(wrappers, list) else [wrappers]:
        name = next(iter(wrapper), None) if isinstance(wrapper, Mapping) else wrapper
        if not isinstance(name, str) or name not in _SAFE_WRAPPERS:
            known = ", ".join(sorted(_SAFE_WRAPPERS))
            raise UntrustedError(f"the wrapper {name!r:.80} is not known to be safe; known: {known}{TRUST}")


def _wrapper(config: Mapping[str, Any]) -> EnvWrapper | None:
    if not config.get("env_wrapper"):
        return None
    from rl_zoo3.utils import get_wrapper_class

    try:
        return get_wrapper_class(dict(config))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the run's env_wrapper {config['env_wrapper']!r} cannot be imported: {error}") from error
