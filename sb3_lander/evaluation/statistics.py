"""Statistics over seeds: interquartile means, medians and ratios with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
"""Bootstrap resamples: enough for two stable digits of a 95% interval."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% bootstrap interval over seeds."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "not reached"
        digits = 1 if abs(self.value) >= 10 else 2
        low, high = (f"{v:.{digits}f}" if math.isfinite(v) else "never" for v in (self.low, self.high))
        return f"{self.value:.{digits}f} [{low}, {high}]"


def interquartile_mean(values: Sequence[float] | np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the mean of the middle half: a quarter, rounded down, is cut off at each end.

    Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice* (2021).

    :param values: At least one value.
    :param axis: Axis to reduce; all values together when None.
    """
    array = np.moveaxis(np.sort(np.asarray(values, dtype=float), axis=axis), axis or 0, -1)
    cut = array.shape[-1] // 4
    return np.asarray(array[..., cut : array.shape[-1] - cut].mean(axis=-1))


def _bootstrap(samples: Sequence[Sequence[float]], statistic: Callable[..., np.ndarray], seed: int) -> Interval:
    """Percentile bootstrap: every sample is drawn again from itself, with replacement.

    Never-reached targets are infinite values, which percentiles of resampled medians carry correctly; SciPy's
    ``bootstrap`` refuses them, and rliable's ignores the seed that it is given.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    if any(array.size == 0 for array in arrays):
        raise ValueError("statistics over seeds need at least one seed")
    drawn = [array[rng.integers(0, array.size, (RESAMPLES, array.size))] for array in arrays]
    with np.errstate(invalid="ignore"):
        resampled = statistic(*drawn, axis=1)
        value = float(statistic(*(array[None] for array in arrays), axis=1)[0])
    tail = (1.0 - 0.95) / 2.0
    # "inverted_cdf" returns a resampled value, where interpolation would turn infinities into NaN.
    low, high = np.quantile(resampled, [tail, 1.0 - tail], method="inverted_cdf")
    return Interval(value, float(low), float(high))


def iqm(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the interquartile mean over seeds with its interval."""
    return _bootstrap([values], interquartile_mean, seed)


def mean(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the mean over seeds with its interval, for a rate whose worst seeds must count."""
    return _bootstrap([values], np.mean, seed)


def median(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the median over seeds with its interval; a seed that never got there counts as infinity."""
    return _bootstrap([values], np.median, seed)


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0) -> Interval:
    """Return how many times larger the first median is, both samples resampled independently."""
    samples = [numerator, denominator]
    return _bootstrap(samples, lambda a, b, axis: np.median(a, axis) / np.median(b, axis), seed)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Interval:
    """Return how probable it is that a seed of ours is better than a seed of theirs; a tie counts half.

    Agarwal et al. (2021); the statistic is that of Mann and Whitney, divided by the number of pairs.
    """
    samples = [ours, theirs]
    return _bootstrap(samples, lambda a, b, axis: (np.sign(a[:, :, None] - b[:, None, :]).mean((1, 2)) + 1) / 2, seed)
