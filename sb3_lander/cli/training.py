"""Commands that train many times: ``benchmark`` measures recipes, ``tune`` searches with Optuna."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_lander.cli import add_command, pick
from sb3_lander.envs.registration import V3_ID

_CLUSTER = "train on a Dask cluster: its scheduler's address, or --scheduler-file"


def add_to(commands: Any) -> None:
    """Add the commands of this module."""
    summary = "Train many seeds of one or several recipes and measure them."
    add = add_command(commands, "benchmark", _benchmark, summary).add_argument
    what = "ppo, zoo (the Zoo's own entry), allenact, or a YAML file of recipes"
    add("recipes", nargs="+", metavar="RECIPE", help=what)
    add("--out", type=Path, metavar="FILE", help="JSON file, always needed; an unfinished one is continued")
    add("--env", dest="env_id", metavar="ENV", default=V3_ID, help="environment id (default: %(default)s)")
    add("--seeds", type=int, default=10, help="number of seeds (default: %(default)s)")
    add("--first-seed", type=int, default=1000, help="first seed; tune takes those below 1000 (default: %(default)s)")
    add("--budget", type=int, help="environment steps (default: the recipe's own n_timesteps)")
    add("--targets", type=float, nargs="+", default=[200.0, 250.0], help="mean returns to reach (default: 200 250)")
    add("--hold", type=float, default=0.1, help="share of its steps for which a target must hold (default: 0.1)")
    add("--until-solved", action="store_true", help="end a training once it has reached every target")
    what = "end a training there at the latest, with its schedules as they are"
    add("--steps-limit", type=int, metavar="STEPS", help=what)
    add("--eval-every", type=int, default=4096, help="steps between evaluations (default: %(default)s)")
    add("--final-episodes", type=int, default=1000, help="tasks of the final report (default: %(default)s)")
    add("--jobs", type=int, help="trainings side by side, which share out this machine's cores (default: 1)")
    add("--cluster", metavar="WHERE", help=_CLUSTER)
    add("--baseline", help="recipe to divide the others' times by in the table")

    summary = "Search hyperparameters with Optuna: several seeds a trial, side by side or on a cluster."
    parser = add_command(commands, "tune", _tune, summary)
    add = _with_study(parser, required=False)
    add("--algo", default="ppo", help="the Zoo's name of the algorithm (default: %(default)s)")
    add("--env", default=V3_ID, help="environment id (default: %(default)s)")
    add("--trials", type=int, metavar="N", help="trials of the whole study, of all calls together")
    add("--hours", type=float, metavar="H", help="start no trial after this time")
    add("--workers", type=int, metavar="W", help="processes that train (default: 1)")
    add("--cluster", metavar="WHERE", help=_CLUSTER)
    add("--seeds", type=int, default=3, metavar="K", help="trainings in a trial (default: %(default)s)")
    add("--budget", type=int, metavar="STEPS", help="environment steps of each (default: the entry's n_timesteps)")
    add("--steps-limit", type=int, metavar="STEPS", help="end a training there, with its schedules as they are")
    add("--objective", default="return", help="return or time-to-solve (default: %(default)s)")
    add("--target", type=float, default=200.0, help="the return to reach, for time-to-solve (default: %(default)s)")
    add("--evaluate-on", default="gymnasium", help="for time-to-solve: gymnasium, or envpool, which is quicker")
    add("--space", type=Path, metavar="FILE", help="search space (default: ours for the algorithm, or else the Zoo's)")
    add("--conf-file", type=Path, metavar="FILE", help="the entry to search around (default: ours)")
    add("--sampler", default="tpe", help="tpe, random, qmc, or cmaes with the package cmaes (default: %(default)s)")
    add("--pruner", default="median", help="median, halving or none (default: %(default)s)")
    verbs = parser.add_subparsers(metavar="top|show")
    summary = "re-run the best trials on fresh seeds and write the winner as YAML"
    add = _with_study(add_command(verbs, "top", _top, summary))
    add("--candidates", type=int, default=5, help="how many of the best trials (default: %(default)s)")
    add("--seeds", type=int, default=10, help="fresh training seeds (default: %(default)s)")
    add("--first-seed", type=int, default=500, help="the first of them (default: %(default)s)")
    add("--jobs", type=int, help="trainings side by side (default: 1)")
    add("--cluster", metavar="WHERE", help=_CLUSTER)
    out = "the winner's YAML file (default: STUDY.yml); its trainings go beside it"
    add("--out", type=Path, metavar="FILE", help=out)
    summary = "print a study and draw its history, importances and slices"
    add = _with_study(add_command(verbs, "show", _show, summary))
    add("--folder", type=Path, help="where the pictures go (default: STUDY_plots)")


def _with_study(parser: argparse.ArgumentParser, required: bool = True) -> Callable[..., Any]:
    parser.add_argument("--study", required=required, metavar="NAME", help="name of the study")
    storage = "journal file, or a database's URL such as postgresql://... (default: sb3_lander.log here)"
    parser.add_argument("--storage", metavar="URL", help=storage)
    return parser.add_argument


def _tune(arguments: argparse.Namespace) -> None:
    from sb3_lander.parallel.cluster import open_executor
    from sb3_lander.tuning import make_search, tune

    if arguments.study is None:
        raise ValueError("tune needs --study NAME")
    if arguments.trials is None and arguments.hours is None:
        raise ValueError("tune needs --trials N or --hours H")
    names = ("space", "seeds", "budget", "objective", "target", "steps_limit", "evaluate_on")
    search = make_search(arguments.algo, arguments.env, config=arguments.conf_file, **pick(arguments, *names))
    how = {**pick(arguments, "storage", "trials", "hours", "sampler", "pruner"), "progress": sys.stderr.isatty()}
    with open_executor(arguments.cluster, arguments.workers) as executor:
        now = tune(search, arguments.study, executor=executor, **how)
    print(f"study {arguments.study}: {now.complete} trials complete, {now.pruned} pruned, {now.failed} failed")


def _benchmark(arguments: argparse.Namespace) -> None:
    from sb3_lander.benchmark import runner as benchmark
    from sb3_lander.benchmark.recipes import Measurement
    from sb3_lander.parallel.cluster import open_executor

    names = ("env_id", "hold", "eval_every", "budget", "until_solved", "steps_limit", "final_episodes")
    measurement = Measurement(targets=tuple(arguments.targets), **pick(arguments, *names))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    recipes = benchmark.load_recipes(arguments.recipes)
    for recipe in recipes:
        recipe.entry(measurement.for_recipe(recipe).env_id)  # what cannot be trained has the first word
    if arguments.out is None:
        raise ValueError("--out FILE is missing: the JSON file for the results")
    if arguments.baseline is not None and arguments.baseline not in {recipe.name for recipe in recipes}:
        raise ValueError(f"--baseline {arguments.baseline} is none of the recipes {[r.name for r in recipes]}")
    with open_executor(arguments.cluster, arguments.jobs) as executor:
        results = benchmark.run(recipes, seeds, measurement, arguments.out, executor=executor)
    print(benchmark.table(results, arguments.baseline))
    if any(run.get("shares_cores") for run in results["runs"]):
        print("note: trainings shared cores with each other, so that their seconds say little")


def _top(arguments: argparse.Namespace) -> None:
    from sb3_lander.parallel.cluster import open_executor
    from sb3_lander.runs.files import write_text
    from sb3_lander.tuning import results
    from sb3_lander.tuning.storage import open_storage
    from sb3_lander.tuning.study import open_study

    if arguments.seeds < 1:
        raise ValueError(f"--seeds {arguments.seeds} must be at least 1")
    out: Path = arguments.out or Path(f"{arguments.study}.yml")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    study, search = open_study(open_storage(arguments.storage), arguments.study)
    with open_executor(arguments.cluster, arguments.jobs) as executor:
        found = results.rerun(study, search, arguments.candidates, seeds, out.with_suffix(".json"), executor)
    print(results.table(found, search))
    write_text(out, results.winner_yaml(found[0], study, search, seeds))
    print(f"wrote {out}")


def _show(arguments: argparse.Namespace) -> None:
    from sb3_lander.tuning.results import draw, overview
    from sb3_lander.tuning.storage import open_storage
    from sb3_lander.tuning.study import open_study

    study, search = open_study(open_storage(arguments.storage), arguments.study)
    print(overview(study, search))
    for path in draw(study, arguments.folder or Path(f"{arguments.study}_plots")):
        print(f"wrote {path}")
