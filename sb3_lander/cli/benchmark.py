"""``python -m sb3_lander benchmark``: many seeds of one or several recipes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sb3_lander.cli import Command

__all__ = ["COMMANDS"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="ppo, zoo (the Zoo's own entry), allenact, or a YAML file of recipes",
    )
    add("--out", required=True, type=Path, help="JSON file; an unfinished one is continued")
    add("--env", default="LunarLanderContinuous-v3", help="environment id (default: %(default)s)")
    add("--seeds", type=int, default=10, help="number of seeds (default: %(default)s)")
    add("--first-seed", type=int, default=1000, help="first seed; tuning used seeds below 1000 (default: %(default)s)")
    add("--budget", type=int, default=None, help="environment steps (default: the recipe's own n_timesteps)")
    add("--targets", type=float, nargs="+", default=[200.0, 250.0], help="mean returns to reach (default: 200 250)")
    add("--until-solved", action="store_true", help="end a training once it has reached every target")
    add(
        "--steps-limit",
        type=int,
        metavar="STEPS",
        help="end a training there at the latest, with its schedules as they are",
    )
    add("--eval-every", type=int, default=4096, help="steps between evaluations (default: %(default)s)")
    add("--final-episodes", type=int, default=1000, help="tasks of the final report (default: %(default)s)")
    add("--jobs", type=int, default=1, help="trainings side by side; more than 1 makes seconds incomparable")
    add("--study", metavar="NAME", help="share the trainings out with everybody who names this study")
    add("--storage", metavar="URL", help="its journal file or postgresql://... (default: sb3_lander.log here)")
    add("--baseline", default=None, help="recipe to divide the others' times by in the table")


def _run(arguments: argparse.Namespace) -> None:
    from sb3_lander.benchmark import runner as benchmark
    from sb3_lander.benchmark.recipes import Measurement
    from sb3_lander.runs.files import write_text

    measurement = Measurement(
        env_id=arguments.env,
        targets=tuple(arguments.targets),
        eval_every=arguments.eval_every,
        budget=arguments.budget,
        until_solved=arguments.until_solved,
        steps_limit=arguments.steps_limit,
        final_episodes=arguments.final_episodes,
    )
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    recipes = benchmark.load_recipes(arguments.recipes)
    if arguments.baseline is not None and arguments.baseline not in {recipe.name for recipe in recipes}:
        raise ValueError(f"--baseline {arguments.baseline} is none of the recipes {[r.name for r in recipes]}")
    if arguments.study is None:
        results = benchmark.run(recipes, list(seeds), measurement, arguments.out, jobs=arguments.jobs)
    else:
        from sb3_lander.benchmark.shared_benchmark import run_shared

        shared = {"study": arguments.study, "storage": arguments.storage, "jobs": arguments.jobs}
        results = run_shared(recipes, list(seeds), measurement, **shared)
        write_text(arguments.out, json.dumps(results, indent=1) + "\n")
    print(benchmark.table(results, arguments.baseline))


COMMANDS = {"benchmark": Command("Train many seeds of one or several recipes and measure them.", _add_arguments, _run)}
