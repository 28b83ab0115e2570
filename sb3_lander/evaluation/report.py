"""What an evaluation gives, as plain data: the report over its episodes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import NormalDist, fmean, median
from typing import Any

import numpy as np

from sb3_lander.evaluation.outcome import OUTCOMES, Episode, Outcome


@dataclass(frozen=True)
class EvaluationReport:
    """The episodes of one model on fixed tasks of one environment, and their summary.

    Sums are exact before they are rounded (``statistics.fmean``), so the summary is the same on every machine.

    :param env_id: Id in gymnasium's registry.
    :param env_kwargs: Keyword arguments of ``gym.make``.
    :param deterministic: Whether the policy took its most likely action.
    :param success_threshold: The return that counts as a success.
    :param episodes: One per task, ordered by seed, whatever the order of the tasks was.
    :raises ValueError: If there is no episode.
    """

    env_id: str
    env_kwargs: dict[str, Any]
    deterministic: bool
    success_threshold: float
    episodes: tuple[Episode, ...]

    def __post_init__(self) -> None:
        if not self.episodes:
            raise ValueError("a report needs at least one episode, got none")
        object.__setattr__(self, "episodes", tuple(sorted(self.episodes, key=lambda episode: episode.seed)))

    @property
    def returns(self) -> np.ndarray:
        """The episodes' returns, float64 of shape ``(n_episodes,)``, ordered by seed."""
        return np.array([episode.episode_return for episode in self.episodes], dtype=np.float64)

    @property
    def mean_return(self) -> float:
        """Mean of the returns."""
        return fmean(self.returns)

    @property
    def std_return(self) -> float:
        """Standard deviation of the returns, with division by n as SB3's ``evaluate_policy``."""
        mean = self.mean_return
        return math.sqrt(fmean((value - mean) ** 2 for value in self.returns.tolist()))

    @property
    def iqm_return(self) -> float:
        """Interquartile mean: without the lowest and highest ``n // 4`` returns, as rliable (Agarwal et al. 2021)."""
        cut = len(self.episodes) // 4
        return fmean(np.sort(self.returns)[cut : len(self.episodes) - cut])

    @property
    def success_rate(self) -> float:
        """Share of the episodes, 0 to 1, whose return reached the threshold."""
        return fmean(episode.success for episode in self.episodes)

    @property
    def success_interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the success rate (Wilson 1927), which holds near 0 and 1 too."""
        n, p, z = len(self.episodes), self.success_rate, NormalDist().inv_cdf(0.975)
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    @property
    def mean_length(self) -> float:
        """Mean number of steps."""
        return fmean(episode.length for episode in self.episodes)

    @property
    def mean_fuel(self) -> float | None:
        """Mean fuel burnt, in units of reward; None if this is not the lander."""
        burnt = [episode.fuel for episode in self.episodes if episode.fuel is not None]
        return fmean(burnt) if burnt else None

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many episodes ended in which way; only the ways that occurred."""
        counts = Counter(episode.outcome for episode in self.episodes)
        return {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}

    def summary(self) -> dict[str, Any]:
        """Return everything but the single episodes, as plain values."""
        return {
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs),
            "deterministic": self.deterministic,
            "success_threshold": self.success_threshold,
            "n_episodes": len(self.episodes),
            "mean_return": self.mean_return,
            "std_return": self.std_return,
            "iqm_return": self.iqm_return,
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "mean_length": self.mean_length,
            "mean_fuel": self.mean_fuel,
            "outcomes": dict(self.outcomes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the summary and, under ``episodes``, every episode, as plain values."""
        return {**self.summary(), "episodes": [episode.to_dict() for episode in self.episodes]}

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON; floats survive the round trip to the last bit."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EvaluationReport:
        """Read what :meth:`to_dict` wrote (the summary is computed again); other keys are ignored.

        :raises ValueError: If a key is missing.
        """
        names = [f.name for f in fields(cls)]
        if missing := [name for name in names if name not in data]:
            raise ValueError(f"not an evaluation report: {missing} missing, got the keys {sorted(data)}")
        episodes = tuple(Episode.from_dict(episode) for episode in data["episodes"])
        return cls(**{name: data[name] for name in names} | {"episodes": episodes})

    def __str__(self) -> str:
        seeds = f"seeds {self.episodes[0].seed} to {self.episodes[-1].seed}"
        kind = "deterministic" if self.deterministic else "stochastic"
        kwargs = "".join(f" {key}={value}" for key, value in self.env_kwargs.items())
        interval = "95% interval {:.1%} to {:.1%}".format(*self.success_interval)
        rows = [
            ("return", f"{self.mean_return:.1f} +/- {self.std_return:.1f}, interquartile mean {self.iqm_return:.1f}"),
            ("range", f"{self.returns.min():.1f} to {self.returns.max():.1f}"),
            ("success", f"{self.success_rate:.1%} ({interval}), return >= {self.success_threshold:g}"),
            ("length", f"{self.mean_length:.1f} steps"),
        ]
        if self.mean_fuel is not None:
            rows.append(("fuel", f"{self.mean_fuel:.1f} of the return"))
        rows += [(outcome.replace("_", " "), f"{count}") for outcome, count in self.outcomes.items()]
        if touched := [episode for episode in self.episodes if episode.touchdown_speed is not None]:
            parts = ([getattr(e, f"touchdown_{name}") for e in touched] for name in ("speed", "tilt", "distance"))
            speed, tilt, distance = map(median, parts)
            rows.append(("touchdown", f"{speed:.2f} m/s, tilt {tilt:.3f} rad, {distance:.2f} m off (medians)"))
        title = f"{self.env_id}{kwargs}: {len(self.episodes)} fixed tasks ({seeds}), {kind}"
        return "\n".join([title, *(f"  {name:<15}{value}" for name, value in rows)])
