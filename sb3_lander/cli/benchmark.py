"""``python -m sb3_lander benchmark``: many seeds of one or several recipes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sb3_lander.cli import add_command, pick


def add_to(commands: Any) -> None:
    """Add the command of this module."""
    summary = "Train many seeds of one or several recipes and measure them."
    add = add_command(commands, "benchmark", _benchmark, summary).add_argument
    what = "ppo, zoo (the Zoo's own entry), allenact, or a YAML file of recipes"
    add("recipes", nargs="+", metavar="RECIPE", help=what)
    add("--out", type=Path, metavar="FILE", help="JSON file, always needed; an unfinished one is continued")
    add("--env", dest="env_id", default="LunarLanderContinuous-v3", help="environment id (default: %(default)s)")
    add("--seeds", type=int, default=10, help="number of seeds (default: %(default)s)")
    add("--first-seed", type=int, default=1000, help="first seed; tuning used seeds below 1000 (default: %(default)s)")
    add("--budget", type=int, help="environment steps (default: the recipe's own n_timesteps)")
    add("--targets", type=float, nargs="+", default=[200.0, 250.0], help="mean returns to reach (default: 200 250)")
    add("--hold", type=float, default=0.1, help="share of its steps for which a target must hold (default: 0.1)")
    add("--until-solved", action="store_true", help="end a training once it has reached every target")
    what = "end a training there at the latest, with its schedules as they are"
    add("--steps-limit", type=int, metavar="STEPS", help=what)
    add("--eval-every", type=int, default=4096, help="steps between evaluations (default: %(default)s)")
    add("--final-episodes", type=int, default=1000, help="tasks of the final report (default: %(default)s)")
    add("--jobs", type=int, help="trainings side by side, which share out this machine's cores (default: 1)")
    add("--cluster", metavar="WHERE", help="train on a Dask cluster: its scheduler's address, or --scheduler-file")
    add("--baseline", help="recipe to divide the others' times by in the table")


def _benchmark(arguments: argparse.Namespace) -> None:
    from sb3_lander.benchmark import runner as benchmark
    from sb3_lander.benchmark.recipes import Measurement
    from sb3_lander.parallel.cluster import open_executor

    names = ("env_id", "hold", "eval_every", "budget", "until_solved", "steps_limit", "final_episodes")
    measurement = Measurement(targets=tuple(arguments.targets), **pick(arguments, *names))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    recipes = benchmark.load_recipes(arguments.recipes)
    for recipe in recipes:
        recipe.entry(arguments.env_id)  # what cannot be trained has the first word
    if arguments.out is None:
        raise ValueError("--out FILE is missing: the JSON file for the results")
    if arguments.baseline is not None and arguments.baseline not in {recipe.name for recipe in recipes}:
        raise ValueError(f"--baseline {arguments.baseline} is none of the recipes {[r.name for r in recipes]}")
    with open_executor(arguments.cluster, arguments.jobs) as executor:
        results = benchmark.run(recipes, seeds, measurement, arguments.out, executor=executor)
    print(benchmark.table(results, arguments.baseline))
    if any(run.get("shares_cores") for run in results["runs"]):
        print("note: trainings shared cores with each other, so that their seconds say little")
