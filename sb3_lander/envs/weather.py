"""RandomWeather: gymnasium's lander in another gravity, wind and turbulence at each reset."""

import math
from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.lunar_lander import LunarLander
from gymnasium.utils import RecordConstructorArgs

LIMITS = {"gravity": (-12.0, 0.0), "wind_power": (0.0, 20.0), "turbulence_power": (0.0, 2.0)}
"""The lowest and highest values that gymnasium's lander takes; a gravity must lie between them."""


class RandomWeather(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Draw the gravity, the power of the wind and the power of the turbulence uniformly at each reset.

    ``reset(seed=s)`` fixes what is drawn, as it fixes the terrain; resets without a seed go on from there. The draws
    have random numbers of their own: an episode is, to the last bit, that of ``gym.make(id, gravity=...,
    enable_wind=True, wind_power=..., turbulence_power=...)`` with the same seed. ``info["weather"]`` of the reset and
    of the episode's last step tells the three.

    What ``gym.make`` was given is not drawn: a ``gravity`` stays, and with an ``enable_wind``, true or false, so do
    wind and turbulence. An agent that was trained with this wrapper can so be evaluated in one weather.

    :param env: Gymnasium's lander, with continuous or discrete actions.
    :param gravity: The lowest and the highest gravity, from -12 to 0; equal ones fix it. Gymnasium's default is -10.
    :param wind_power: The weakest and the strongest wind, from 0 to 20. Gymnasium's default is 15.
    :param turbulence_power: The same for the turbulence, which turns the lander, from 0 to 2. The default is 1.5.
    :param extremes: How often, from 0 to 1, each of the three is one of its range's ends instead. Uniform draws hardly
        ever come near the corners, where an agent fails first.
    :raises ValueError: If the environment is none of gymnasium's landers, or a value is not within these limits.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        gravity: Sequence[float] = (-12.0, -2.0),
        wind_power: Sequence[float] = (0.0, 20.0),
        turbulence_power: Sequence[float] = (0.0, 2.0),
        extremes: float = 0.0,
    ) -> None:
        ranges: dict[str, Any] = dict(zip(LIMITS, (gravity, wind_power, turbulence_power), strict=True))
        RecordConstructorArgs.__init__(self, **ranges, extremes=extremes)
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.unwrapped, LunarLander):
            raise ValueError(f"RandomWeather is for gymnasium's LunarLander, not for {env.unwrapped}")
        self._lander = env.unwrapped
        self._ranges = {name: _checked(name, given) for name, given in ranges.items()}
        if isinstance(extremes, bool) or not (isinstance(extremes, int | float) and 0.0 <= extremes <= 1.0):
            raise ValueError(f"RandomWeather: extremes={extremes!r} must be a number from 0 to 1")
        self._extremes = extremes
        given = {} if self._lander.spec is None else self._lander.spec.kwargs
        self._keeps_gravity, self._keeps_wind = "gravity" in given, "enable_wind" in given
        self._random = np.random.default_rng()
        self._weather: dict[str, float] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw the weather, and start a new episode in it."""
        if seed is not None:
            # A child of the seed: the seed's own numbers shape the terrain.
            self._random = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        # All three, used or not, so that what is kept of one does not change the others.
        drawn = {name: self._draw(ends) for name, ends in self._ranges.items()}
        lander = self._lander
        if not self._keeps_gravity:
            # Gymnasium excludes the limits themselves.
            lander.gravity = min(max(drawn["gravity"], math.nextafter(-12.0, 0.0)), math.nextafter(0.0, -12.0))
        if not self._keeps_wind:
            lander.enable_wind = True
            lander.wind_power, lander.turbulence_power = drawn["wind_power"], drawn["turbulence_power"]
        observation, info = super().reset(seed=seed, options=options)
        powers = (lander.wind_power, lander.turbulence_power) if lander.enable_wind else (0.0, 0.0)
        self._weather = dict(zip(LIMITS, (lander.gravity, *powers), strict=True))
        return observation, {**info, "weather": dict(self._weather)}

    def _draw(self, ends: tuple[float, float]) -> float:
        # No coin where none is asked for: a seed then means the weather it has always meant.
        if self._extremes and self._random.random() < self._extremes:
            return ends[self._random.integers(2)]
        return float(self._random.uniform(*ends))

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment; the last step's ``info`` carries the episode's ``weather``."""
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            info["weather"] = dict(self._weather)
        return observation, reward, terminated, truncated, info


def _checked(name: str, given: Sequence[float]) -> tuple[float, float]:
    lowest, highest = LIMITS[name]
    try:
        first, last = (value + 0.0 for value in given)
    except (TypeError, ValueError):
        first = last = math.nan
    if not lowest <= first <= last <= highest:
        valid = f"a list of the lowest and the highest, within [{lowest:g}, {highest:g}]"
        raise ValueError(f"RandomWeather: {name}={given!r} must be {valid}")
    return first, last
