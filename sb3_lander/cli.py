"""The command line, ``python -m sb3_lander VERB``: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["main"]


class _Verb(NamedTuple):
    """One command: what ``--help`` says, how its arguments are declared, and what it runs."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: The command line; ``sys.argv`` without the program's name when None.
    :return: The exit status: 0, or 2 after a mistake in the input, which is reported in one line.
    """
    parser = argparse.ArgumentParser(prog="sb3_lander", description="Train, evaluate and ship lunar landers.")
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in _VERBS.items():
        verb.add_arguments(commands.add_parser(name, help=verb.summary, description=verb.summary))
    parsed = parser.parse_args(arguments)
    try:
        _VERBS[parsed.verb].run(parsed)
    except (ValueError, FileNotFoundError) as error:
        print(f"sb3_lander: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


# Each verb imports what it needs when it runs, so that --help does not wait for torch.


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algo", metavar="ALGO", help="ppo, sac, ..., or allenact for the tutorial's configuration")


def _config(arguments: argparse.Namespace) -> None:
    from sb3_lander.settings import default_config

    print(default_config(arguments.algo))


def _benchmark_arguments(parser: argparse.ArgumentParser) -> None:
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
    add("--eval-every", type=int, default=8192, help="steps between evaluations (default: %(default)s)")
    add("--final-episodes", type=int, default=1000, help="tasks of the final report (default: %(default)s)")
    add("--jobs", type=int, default=1, help="trainings side by side; more than 1 makes seconds incomparable")
    add("--baseline", default=None, help="recipe to divide the others' times by in the table")


def _benchmark(arguments: argparse.Namespace) -> None:
    from sb3_lander import benchmark
    from sb3_lander.training import Measurement

    measurement = Measurement(
        env_id=arguments.env,
        targets=tuple(arguments.targets),
        eval_every=arguments.eval_every,
        budget=arguments.budget,
        until_solved=arguments.until_solved,
        final_episodes=arguments.final_episodes,
    )
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    recipes = benchmark.load_recipes(arguments.recipes)
    if arguments.baseline is not None and arguments.baseline not in {recipe.name for recipe in recipes}:
        raise ValueError(f"--baseline {arguments.baseline} is none of the recipes {[r.name for r in recipes]}")
    results = benchmark.run(recipes, list(seeds), measurement, arguments.out, jobs=arguments.jobs)
    print(benchmark.table(results, arguments.baseline))


_VERBS = {
    "benchmark": _Verb(
        "Train many seeds of one or several recipes and measure them.", _benchmark_arguments, _benchmark
    ),
    "config": _Verb("Print the path of our hyperparameters, for --conf-file.", _config_arguments, _config),
}
