"""Statistics over seeds against hand-computed values and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sb3_lander.evaluation.statistics import Interval, interquartile_mean, iqm, median, ratio_of_medians


def test_the_interquartile_mean_of_eight_values_is_the_mean_of_the_middle_four() -> None:
    assert interquartile_mean([1000, 1, 2, 3, 4, 5, 6, -1000]) == pytest.approx((2 + 3 + 4 + 5) / 4)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 101])
def test_the_interquartile_mean_agrees_with_scipys_trimmed_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_an_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(1).normal(50, 5, size=30)
    theirs = stats.bootstrap(
        (values,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", rng=0, n_resamples=10_000
    ).confidence_interval
    ours = iqm(values)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.15)


def test_intervals_repeat_with_the_same_seed_and_differ_with_another() -> None:
    values = list(np.random.default_rng(2).normal(size=10))
    assert iqm(values, seed=1) == iqm(values, seed=1)
    assert iqm(values, seed=1) != iqm(values, seed=2)


def test_a_seed_that_never_solves_makes_the_interval_open_but_not_the_median() -> None:
    assert median([1.0, 2.0, 3.0, 4.0, math.inf]).value == 3.0
    assert median([1.0, 2.0, 3.0, 4.0, math.inf]).high == math.inf
    assert median([1.0, math.inf, math.inf]).value == math.inf
    assert str(median([math.inf, math.inf, 1.0])) == "not reached"


def test_the_ratio_of_medians_is_that_of_the_samples() -> None:
    assert ratio_of_medians([10.0, 20.0, 30.0], [1.0, 2.0, 4.0]).value == 10.0
    constant = ratio_of_medians([6.0] * 5, [2.0] * 5)
    assert constant == Interval(3.0, 3.0, 3.0)


def test_no_seed_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        median([])
