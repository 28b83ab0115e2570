"""The environment ids of this package, the success flag, and rendering without a display."""

import os
import sys
import warnings
from copy import deepcopy
from dataclasses import replace
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

V2_ID = "LunarLanderContinuous-v2"
"""The tutorial's id; gymnasium >= 1.0 dropped it, so :func:`register_envs` brings it back."""

V3_ID = "LunarLanderContinuous-v3"
"""Gymnasium's own id. Without wind, v2 and v3 are the same task (v3 mended the wind and the reset)."""

DISCRETE_V2_ID = "LunarLander-v2"
"""The id of the Hugging Face deep RL course, dropped and brought back likewise."""

DISCRETE_V3_ID = "LunarLander-v3"
"""Gymnasium's own id of the lander with four actions: no engine, the left, the main or the right one at full power."""

ENV_IDS = (V2_ID, V3_ID, DISCRETE_V2_ID, DISCRETE_V3_ID)


def register_envs() -> None:
    """Register both v2 ids with gymnasium, each as the same simulator as its v3; safe to call many times.

    Gymnasium's advice to upgrade to v3 is silenced. An id that is already registered as something else is left as it
    is, and so is the advice.
    """
    for old, new in ((V2_ID, V3_ID), (DISCRETE_V2_ID, DISCRETE_V3_ID)):
        ours = replace(deepcopy(gym.spec(new)), id=old)
        if gym.registry.setdefault(old, ours) == ours:
            # At every call, because whoever imported us inside warnings.catch_warnings() has lost the filter since.
            warnings.filterwarnings("ignore", f".*The environment {old} is out of date", DeprecationWarning)


def use_dummy_display_if_headless() -> None:
    """Let ``render_mode="human"`` draw into memory on a Linux without a display, if ``SDL_VIDEODRIVER`` is not set."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


class SuccessWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Set ``info["is_success"]`` on an episode's last step: whether its return was at least ``threshold``.

    SB3 turns the flag into ``rollout/success_rate`` and ``eval/success_rate``. Rewards pass unchanged.

    :param env: The environment to wrap; put it inside anything that scales the reward.
    :param threshold: The return that counts as a success; the spec's ``reward_threshold`` when None (200 for landers).
    :raises ValueError: If ``threshold`` is None and the environment declares none.
    """

    def __init__(self, env: gym.Env[Any, Any], threshold: float | None = None) -> None:
        RecordConstructorArgs.__init__(self, threshold=threshold)
        gym.Wrapper.__init__(self, env)
        if threshold is None:
            threshold = None if env.spec is None else env.spec.reward_threshold
        if threshold is None:
            raise ValueError(f"{env} declares no reward_threshold: say what counts as a success with threshold=...")
        self.threshold = float(threshold)
        self._episode_return = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode, with a return of zero."""
        self._episode_return = 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment; the last step's ``info`` carries ``is_success``."""
        observation, reward, terminated, truncated, info = super().step(action)
        self._episode_return += float(reward)
        if terminated or truncated:
            info["is_success"] = self._episode_return >= self.threshold
        return observation, reward, terminated, truncated, info
