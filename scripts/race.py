"""Race candidates for hyperparams/ppo.yml: the slower ones drop out after each round, the rest get more seeds.

A score is the geometric mean, over seeds and both targets, of the seconds to the target; a target that is not
reached within the limit counts as the limit's time, doubled. The last round's figures come from seeds that the earlier
rounds never saw, since the best of many is partly the luckiest. Interrupted, the race goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.runner import load_recipes, run


def seconds(training: Mapping[str, Any], target: float) -> float:
    """Return the time to a target, or twice the whole time where it was not reached."""
    reached = training["solved"].get(f"{target:g}")
    return float(reached["seconds"] if reached else 2 * training["seconds"])


def score(trainings: Sequence[Mapping[str, Any]], targets: Sequence[float]) -> float:
    """Return the geometric mean of the seconds to all targets."""
    return math.exp(fmean(math.log(seconds(training, target)) for training in trainings for target in targets))


def main() -> None:
    """Run the rounds and print what remains after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", help="YAML file of candidates, as the benchmark takes it")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of all trainings")
    parser.add_argument("--first-seed", type=int, default=100, help="first seed of the first round")
    parser.add_argument("--rounds", nargs="+", default=["2:6", "3:3", "10:1"], help="NEW_SEEDS:KEPT of each round")
    parser.add_argument("--limit", type=int, default=300_000, help="environment steps after which one is given up")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side: alike for all candidates")
    args = parser.parse_args()

    measurement = Measurement(
        until_solved=True,
        steps_limit=args.limit,
        evaluate_on="envpool",
        eval_every=8192,
        curve_points=0,
        final_episodes=0,
        zoo_evaluations=False,
    )
    recipes: list[Recipe] = load_recipes([args.recipes])
    seed = args.first_seed
    for number, text in enumerate(args.rounds, 1):
        new_seeds, kept = (int(word) for word in text.split(":"))
        last = number == len(args.rounds)
        # The last round judges on its own seeds alone, the others on all so far.
        raced = range(seed, seed + new_seeds) if last else range(args.first_seed, seed + new_seeds)
        results = run(recipes, raced, measurement, args.out, jobs=args.jobs)
        of = {r.name: [t for t in results["runs"] if t["recipe"] == r.name and t["seed"] in raced] for r in recipes}
        recipes.sort(key=lambda recipe: score(of[recipe.name], measurement.targets))
        print(f"\nround {number}, seeds {raced.start} to {raced.stop - 1}")
        for recipe in recipes:
            trainings = of[recipe.name]
            cells = [f"{recipe.name:32} score {score(trainings, measurement.targets):6.2f}"]
            for target in measurement.targets:
                times = [seconds(training, target) for training in trainings]
                reached = [t["solved"][f"{target:g}"]["steps"] for t in trainings if f"{target:g}" in t["solved"]]
                cells.append(f"{target:g}: {len(reached)}/{len(trainings)}, median {median(times):5.1f} s,")
                cells.append(f"worst {max(times):5.1f} s, {median(reached or [math.nan]) / 1e3:4.0f}k steps")
            print("  ".join(cells))
        recipes, seed = recipes[:kept], seed + new_seeds


if __name__ == "__main__":
    main()
