"""Noise of exploration that dies down towards the end of a training, whatever the training's budget is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise, VectorizedActionNoise


class Annealing(BaseCallback):
    """Base of the callbacks that bring something down in a straight line over a part of the training's budget.

    :param since: The share of the training's budget at which the fall begins, at least 0 and below ``until``.
    :param until: The share at which it has ended, at most 1.
    :raises ValueError: If ``since`` and ``until`` are no such shares.
    """

    def __init__(self, since: float, until: float) -> None:
        super().__init__()
        if not 0 <= since < until <= 1:
            raise ValueError(f"since={since} and until={until} must be shares of the budget: 0 <= since < until <= 1")
        self.since, self.until = since, until

    def _fallen(self) -> float:
        """How much of the fall lies behind, from 0 to 1."""
        # SB3's own schedules count from the same number.
        progress = self.num_timesteps / self.model._total_timesteps
        return min(1.0, max(0.0, progress - self.since) / (self.until - self.since))

    def _on_step(self) -> bool:
        return True


class AnnealStd(Annealing):
    """Let the policy's noise die down towards the end of the training, whatever the training's budget is.

    What is kept is the policy without its noise, and a task can reward what the noise never lets happen. The lander
    gets its last 100 points when it has lain still for half a second, with no engine on; a policy with a std of 0.5
    fires the side engines in every third step, and never sees them. Before that, large noise finds what works.

    At the start of each rollout the log std is brought below a bound, which falls in a straight line. Works with every
    policy of SB3 and sb3-contrib that has one learned std an action (``log_std``).

    :param end: The log std's bound at the training's end, a natural logarithm; -1.6 is a std of 0.2. A lower bound of
        the policy's own, as ``log_std_bounds``, stays in force.
    :param start: The bound until ``since``; 0.0 is a std of 1.
    :param since: The share of the training's budget at which the bound starts to fall, at least 0 and below ``until``.
    :param until: The share at which it is down at ``end``, at most 1. Below 1, the rest of the training learns with
        the noise that is left.
    :raises ValueError: If ``end`` is above ``start`` or ``since`` and ``until`` no such shares, or, when the training
        starts, if the policy has no learned ``log_std``.
    """

    def __init__(self, end: float = -1.6, start: float = 0.0, since: float = 0.6, until: float = 1.0) -> None:
        super().__init__(since, until)
        if end > start:
            raise ValueError(f"end={end} must be at most start={start}")
        self.end, self.start = end, start

    def _on_training_start(self) -> None:
        if not isinstance(getattr(self.model.policy, "log_std", None), th.nn.Parameter):
            raise ValueError(f"{type(self.model.policy).__name__} has no learned log_std for AnnealStd to lower")

    def _on_rollout_start(self) -> None:
        log_std = self.model.policy.log_std
        assert isinstance(log_std, th.nn.Parameter)
        # In place, so that an optimizer's or a flat tensor's view of it stays one.
        log_std.data.clamp_(max=self.start + self._fallen() * (self.end - self.start))

    _on_training_end = _on_rollout_start


class ScaledActionNoise(ActionNoise):
    """An action noise times a number.

    :param noise: The noise.
    :param scale: The number.
    """

    def __init__(self, noise: ActionNoise, scale: float = 1.0) -> None:
        super().__init__()
        self.noise, self.scale = noise, scale

    def reset(self) -> None:
        """Let the noise begin anew, as SB3 does at an episode's end."""
        self.noise.reset()

    def __call__(self) -> np.ndarray:
        """Return the next noise, of shape ``(action_dim,)``."""
        return self.scale * self.noise()

    def __repr__(self) -> str:
        return f"ScaledActionNoise({self.noise!r}, scale={self.scale})"


class AnnealActionNoise(Annealing):
    """Let the action noise die down towards the end of the training, whatever the training's budget is.

    Large noise finds what works. What is kept is the policy without it, which learns its last and finest from flights
    that look like its own. So the noise falls, as DQN's share of random actions does (Mnih et al., *Human-level Control
    through Deep Reinforcement Learning*, 2015): at the start of each rollout it is multiplied by a number, which goes
    in a straight line from 1 to ``end``. When the training ends, the noise is again what it was.

    Works with every algorithm of SB3 and sb3-contrib that has an ``action_noise``, as TD3, DDPG, SAC and TQC, and with
    every ``ActionNoise``. In the Zoo's YAML ``noise_type`` and ``noise_std`` make one.

    :param end: The share of the noise that is left at last, at least 0 and at most 1.
    :param since: The share of the training's budget at which the noise starts to fall, at least 0 and below ``until``.
    :param until: The share at which it is down at ``end``, at most 1.
    :raises ValueError: If ``end`` is no share or ``since`` and ``until`` no such shares, or, when the training starts,
        if the algorithm has no action noise.
    """

    def __init__(self, end: float = 0.1, since: float = 0.4, until: float = 0.8) -> None:
        super().__init__(since, until)
        if not 0 <= end <= 1:
            raise ValueError(f"end={end} must be a share of the noise, at least 0 and at most 1")
        self.end = end
        self._scaled: list[ScaledActionNoise] = []

    def _on_training_start(self) -> None:
        if getattr(self.model, "action_noise", None) is None:
            raise ValueError(f"{type(self.model).__name__} has no action_noise for AnnealActionNoise to lower")
        self._scaled = self._replace(_scaled)

    def _on_rollout_start(self) -> None:
        # In off-policy trainings this may be every step.
        scale = 1.0 + self._fallen() * (self.end - 1.0)
        for noise in self._scaled:
            noise.scale = scale

    def _on_training_end(self) -> None:
        self._replace(lambda scaled: scaled.noise)

    def _replace(self, change: Callable[[Any], ActionNoise]) -> list[Any]:
        """Put in the place of each environment's noise what ``change`` makes of it, and return that."""
        model: Any = self.model
        vectorized = isinstance(model.action_noise, VectorizedActionNoise)
        changed = [change(noise) for noise in (model.action_noise.noises if vectorized else [model.action_noise])]
        if vectorized:
            # In place: its setter takes only what has the class of the noise that it was made from.
            model.action_noise.noises[:] = changed
        else:
            (model.action_noise,) = changed
        return changed


def _scaled(noise: ActionNoise) -> ScaledActionNoise:
    # A checkpoint of an earlier part of the training holds it already.
    return noise if isinstance(noise, ScaledActionNoise) else ScaledActionNoise(noise)


# Checkpoints name the class by this path: it must not follow the file.
ScaledActionNoise.__module__ = "sb3_lander.callbacks"
