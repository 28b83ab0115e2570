"""What happened in one episode, from the simulator's own state: how it ended, the fuel, the touchdown."""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat, get_args

import gymnasium as gym
from gymnasium.envs.box2d.lunar_lander import FPS, SCALE, VIEWPORT_H, VIEWPORT_W, LunarLander

Outcome = Literal["landed_on_pad", "landed_off_pad", "crashed", "left_screen", "timed_out", "terminated"]
"""How an episode ended. Environments other than the lander know only ``timed_out`` and ``terminated``."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_HALF_WIDTH = VIEWPORT_W / SCALE / 2
_HALF_HEIGHT = VIEWPORT_H / SCALE / 2
# An observed velocity is v * half size / FPS; these turn it back into metres per second.
_VX_UNIT = FPS / _HALF_WIDTH
_VY_UNIT = FPS / _HALF_HEIGHT

_MAIN_ENGINE_COST = 0.30
_SIDE_ENGINE_COST = 0.03


class FlightRecorder(gym.Wrapper[Any, Any, Any, Any]):
    """Keep the account of the current episode; observations, actions and rewards pass unchanged.

    It belongs right around what ``gym.make`` returns, inside every other wrapper, so that it sees the
    simulator's own rewards and the actions that reach the engines. Lengths are in metres and speeds in metres
    per second, as Box2D counts them: the screen is 20 m wide, the pad 4 m.

    :param env: The environment, as ``gym.make`` returns it.
    """

    episode_return: float
    """Sum of the raw rewards so far, in float64."""

    length: int
    """Steps so far."""

    fuel: float | None
    """Fuel burnt, in units of reward: 0.30 x main power + 0.03 x side power per step, which is what the
    simulator's reward subtracts (powers from 0.5 to 1 when firing). None if this is not the lander."""

    touchdown_speed: float | None
    """Speed in m/s in the last frame before a leg first touches the ground, so before the ground's impulse
    slows the lander down. None if no leg has touched."""

    touchdown_tilt: float | None
    """Absolute angle from upright, in rad, in the frame of the first contact. None if no leg has touched."""

    touchdown_distance: float | None
    """Horizontal distance in m of the lander's centre from the pad's centre, in the frame of the first
    contact. None if no leg has touched."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        simulator = env.unwrapped
        self._lander: Any = simulator if isinstance(simulator, LunarLander) else None
        self._clear()

    def _clear(self) -> None:
        self.episode_return = 0.0
        self.length = 0
        self.fuel = None if self._lander is None else 0.0
        self.touchdown_speed = self.touchdown_tilt = self.touchdown_distance = None
        self._terminated = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode and a new account."""
        observation, info = super().reset(seed=seed, options=options)
        self._clear()
        self._last_observation = observation
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and enter the step into the account."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.episode_return += float(reward)
        self.length += 1
        self._terminated = terminated
        if self._lander is not None:
            self.fuel = (self.fuel or 0.0) + self._fuel_of(self._lander, action)
            if self.touchdown_speed is None and (observation[6] or observation[7]):
                self._touch_down(self._lander, self._last_observation)
            self._last_observation = observation
        return observation, reward, terminated, truncated, info

    @staticmethod
    def _fuel_of(lander: LunarLander, action: Any) -> float:
        """Cost of one action, as ``LunarLander.step`` computes it from the power of the engines."""
        if not lander.continuous:
            return _MAIN_ENGINE_COST if action == 2 else _SIDE_ENGINE_COST if action in (1, 3) else 0.0
        main, side = float(action[0]), abs(float(action[1]))
        cost = 0.0
        if main > 0.0:
            cost += _MAIN_ENGINE_COST * (min(main, 1.0) + 1.0) * 0.5
        if side > 0.5:
            cost += _SIDE_ENGINE_COST * min(side, 1.0)
        return cost

    def _touch_down(self, lander: LunarLander, before: Any) -> None:
        body: Any = lander.lander
        self.touchdown_speed = math.hypot(float(before[2]) * _VX_UNIT, float(before[3]) * _VY_UNIT)
        self.touchdown_tilt = abs(float(body.angle))
        self.touchdown_distance = abs(float(body.position.x) - (lander.helipad_x1 + lander.helipad_x2) / 2)

    def outcome(self, terminated: bool) -> Outcome:
        """Say how the episode ended; call it after the last step, before the next reset.

        The lander has landed if Box2D put its body to sleep, on the pad if both legs then stand between the
        flags. Else it crashed if its body touched the ground, and left the screen if its centre did.

        :param terminated: Whether the outermost wrapper called the episode terminated, not truncated.
        """
        lander = self._lander
        if lander is None or not self._terminated:
            return "terminated" if terminated else "timed_out"
        if not lander.lander.awake:
            on_pad = all(lander.helipad_x1 <= leg.position.x <= lander.helipad_x2 for leg in lander.legs)
            return "landed_on_pad" if on_pad else "landed_off_pad"
        return "crashed" if lander.game_over else "left_screen"
