"""Fixed tasks: an environment and the seed of its reset, so that every agent meets the same episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """One episode to play: an environment and the seed of its reset.

    :param env_id: Id in gymnasium's registry.
    :param seed: Given to ``env.reset``; fixes the terrain, the first push, the wind and the engines' dispersion.
    :param env_kwargs: Keyword arguments of ``gym.make``, for example ``{"enable_wind": True}``.
    :raises ValueError: If the seed is not an integer >= 0.
    """

    env_id: str
    seed: int
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise ValueError(f"a task's seed must be an integer >= 0, got {self.seed!r}")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "env_kwargs", dict(self.env_kwargs))


def fixed_tasks(
    env_id: str, n: int, *, first_seed: int = 1_000_000, env_kwargs: Mapping[str, Any] | None = None
) -> list[Task]:
    """Return ``n`` tasks of one environment, with the seeds ``first_seed`` to ``first_seed + n - 1``.

    :param env_id: Id in gymnasium's registry.
    :param n: Number of tasks, at least 1.
    :param first_seed: The first task's seed, >= 0; by default far from the small seeds that people train with. Keep
        apart the tasks that selected a model and those that report on it.
    :param env_kwargs: Keyword arguments of ``gym.make``, as ``{"enable_wind": True, "max_episode_steps": 500}``.
    :raises ValueError: If ``n`` or ``first_seed`` is out of range.
    """
    check_at_least_one("n", n)
    return [Task(env_id, first_seed + i, env_kwargs or {}) for i in range(n)]


def check_at_least_one(name: str, number: int) -> None:
    """Refuse a number that is no count, by its name, with a :class:`ValueError`."""
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {number!r}")
