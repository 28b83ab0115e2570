"""What happened in one episode, from the simulator's own state: how it ended, the fuel, the touchdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, SupportsFloat, get_args

import gymnasium as gym
from gymnasium.envs.box2d.lunar_lander import FPS, SCALE, VIEWPORT_H, VIEWPORT_W, LunarLander

Outcome = Literal["landed_on_pad", "landed_off_pad", "crashed", "left_screen", "timed_out", "terminated"]
"""How an episode ended. Environments other than the lander know only ``timed_out`` and ``terminated``."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# An observed velocity is v * half size / FPS; these turn it back into metres per second.
_VX_UNIT = FPS / (VIEWPORT_W / SCALE / 2)
_VY_UNIT = FPS / (VIEWPORT_H / SCALE / 2)

_MAIN_ENGINE_COST = 0.30
_SIDE_ENGINE_COST = 0.03


@dataclass(frozen=True)
class Episode:
    """What came out of one task, in metres and seconds as Box2D counts them: the screen is 20 m wide, the pad 4 m.

    :param seed: The task's seed.
    :param episode_return: Sum of the raw rewards, in float64; ``return`` in dictionaries and JSON.
    :param length: Steps.
    :param success: Whether the return reached the success threshold.
    :param outcome: How it ended.
    :param fuel: What the simulator's reward subtracts for fuel: 0.30 x main power + 0.03 x side power per step (powers
        from 0.5 to 1 when firing). None if this is not the lander.
    :param touchdown_speed: Speed in m/s in the last frame before a leg first touches the ground, so before the ground's
        impulse slows the lander down. None, as the next two, if no leg has touched.
    :param touchdown_tilt: Absolute angle from upright, in rad, in the frame of the first contact.
    :param touchdown_distance: Horizontal distance in m of the lander's centre from the pad's in that frame.
    """

    seed: int
    episode_return: float
    length: int
    success: bool
    outcome: Outcome
    fuel: float | None = None
    touchdown_speed: float | None = None
    touchdown_tilt: float | None = None
    touchdown_distance: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the episode as plain values, ready for JSON or a row of CSV."""
        return {"return" if key == "episode_return" else key: value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Episode:
        """Read what :meth:`to_dict` wrote; keys that are not an episode's are ignored.

        :raises ValueError: If a key is missing.
        """
        keys = ["return" if f.name == "episode_return" else f.name for f in fields(cls)]
        if missing := [key for key in keys if key not in data]:
            raise ValueError(f"not an episode of a report: {missing} missing, got the keys {sorted(data)}")
        return cls(*(data[key] for key in keys))


class FlightRecorder(gym.Wrapper[Any, Any, Any, Any]):
    """Keep the account of the current episode; observations, actions and rewards pass unchanged.

    It belongs inside every other wrapper, so that it sees the simulator's rewards and what reaches the engines.
    """

    _touchdown: tuple[float, float, float] | None

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._lander: Any = env.unwrapped if isinstance(env.unwrapped, LunarLander) else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode and a new account."""
        self._return, self._length, self._fuel, self._touchdown, self._terminated = 0.0, 0, 0.0, None, False
        self._last_observation, info = super().reset(seed=seed, options=options)
        return self._last_observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and enter the step into the account."""
        observation, reward, self._terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        self._length += 1
        if self._lander is not None:
            self._fuel += self._fuel_of(action)
            if self._touchdown is None and (observation[6] or observation[7]):
                self._touchdown = self._touch_down(self._last_observation)
            self._last_observation = observation
        return observation, reward, self._terminated, truncated, info

    def _fuel_of(self, action: Any) -> float:
        """Cost of one action, as ``LunarLander.step`` computes it from the power of the engines."""
        if not self._lander.continuous:
            return _MAIN_ENGINE_COST if action == 2 else _SIDE_ENGINE_COST if action in (1, 3) else 0.0
        main, side = float(action[0]), abs(float(action[1]))
        cost = _MAIN_ENGINE_COST * (min(main, 1.0) + 1.0) * 0.5 if main > 0.0 else 0.0
        return cost + (_SIDE_ENGINE_COST * min(side, 1.0) if side > 0.5 else 0.0)

    def _touch_down(self, before: Any) -> tuple[float, float, float]:
        lander, body = self._lander, self._lander.lander
        speed = math.hypot(float(before[2]) * _VX_UNIT, float(before[3]) * _VY_UNIT)
        return speed, abs(float(body.angle)), abs(float(body.position.x) - (lander.helipad_x1 + lander.helipad_x2) / 2)

    def episode(self, seed: int, success_threshold: float, terminated: bool) -> Episode:
        """Return the account after the last step; ``terminated`` is what the outermost wrapper said."""
        success, fuel = self._return >= success_threshold, None if self._lander is None else self._fuel
        touchdown = self._touchdown or (None, None, None)
        return Episode(seed, self._return, self._length, success, self._outcome(terminated), fuel, *touchdown)

    def _outcome(self, terminated: bool) -> Outcome:
        lander = self._lander
        if lander is None or not self._terminated:
            return "terminated" if terminated else "timed_out"
        # It has landed if Box2D put its body to sleep. Else the body touched the ground, or its centre left the screen.
        if not lander.lander.awake:
            on_pad = all(lander.helipad_x1 <= leg.position.x <= lander.helipad_x2 for leg in lander.legs)
            return "landed_on_pad" if on_pad else "landed_off_pad"
        return "crashed" if lander.game_over else "left_screen"
