"""The committed recipe really lands the lander."""

from __future__ import annotations

import math
import statistics

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.training import train
from sb3_lander.parallel import ProcessExecutor
from sb3_lander.parallel.executors import run


def test_the_committed_recipe_lands_the_lander_within_a_small_budget() -> None:
    """The schedules are those of the whole budget, so this is the first part of what the literal command does."""
    watched = Measurement(targets=(240.0,), until_solved=True, final_episodes=100, zoo_evaluations=False)
    result = train(Recipe("ppo"), 7, watched)
    assert result["solved"], "not landed within the whole default budget"
    assert result["steps"] <= 500_000
    # On tasks of its own, since stopping at the first success on some tasks selects for luck on those.
    final = result["final"]
    standard_error = final["std_return"] / math.sqrt(final["n_episodes"])
    assert final["mean_return"] - 2.0 * standard_error >= 200.0
    assert final["success_interval"][0] >= 0.75


def test_trainings_of_a_short_budget_end_well() -> None:
    """With one std for all states these seeds' median return was 245, and the first ended on the pad, engine on."""
    watched = Measurement(budget=150_000, targets=(), curve_points=0, final_episodes=100, zoo_evaluations=False)
    with ProcessExecutor(2) as executor:
        trainings = run(executor, train, [(Recipe("ppo"), seed, watched) for seed in (1, 3, 9, 10, 25, 33)])
        finals = [future.result()["final"] for _, future in trainings]
    # One of the six may have bad luck, as with another processor's rounding.
    assert sorted(final["success_rate"] for final in finals)[1] >= 0.9, finals
    assert statistics.median(final["mean_return"] for final in finals) >= 258, finals
