"""The command line, ``python -m sb3_lander VERB``: parse, call, print."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
    except (ValueError, OSError, ImportError) as error:
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
    add("--eval-every", type=int, default=4096, help="steps between evaluations (default: %(default)s)")
    add("--final-episodes", type=int, default=1000, help="tasks of the final report (default: %(default)s)")
    add("--jobs", type=int, default=1, help="trainings side by side; more than 1 makes seconds incomparable")
    add("--baseline", default=None, help="recipe to divide the others' times by in the table")


def _benchmark(arguments: argparse.Namespace) -> None:
    from sb3_lander import benchmark
    from sb3_lander.recipes import Measurement

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


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="a run folder of the RL Zoo, or a model's .zip")
    add("--episodes", type=int, default=100, help="number of fixed tasks (default: %(default)s)")
    add("--first-seed", type=int, default=1_000_000, help="the first task's seed (default: %(default)s)")
    add("--checkpoints", action="store_true", help="every checkpoint of the run, in step order")
    add("--every", type=int, metavar="STEPS", help="only the checkpoints closest to the multiples of STEPS")
    add("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    add("--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="as enable_wind:True wind_power:15.0")
    add("--stochastic", action="store_true", help="sample the actions instead of taking the most likely ones")
    add("--video", type=int, default=0, metavar="K", help="record the K worst, K median and K best episodes")
    add("--video-folder", type=Path, help="where the videos go (default: videos beside the model)")
    add("--json", type=Path, metavar="FILE", help="write the report and every episode")
    add("--csv", type=Path, metavar="FILE", help="write a row for each episode")
    add("--processes", type=int, metavar="P", help="worker processes (default: one a core from 300 episodes on)")
    add("--safe", action="store_true", help="run no code of the files, refuse what needs it")
    add("--algo", help="the algorithm (default: as the run or the model's settings tell)")
    add("--env", help="environment id (default: the run's, or LunarLanderContinuous-v3)")


def _evaluate(arguments: argparse.Namespace) -> None:
    for file in (arguments.json, arguments.csv):
        if file is not None and not file.parent.is_dir():
            raise FileNotFoundError(f"no folder {file.parent} for {file.name}")
    env_kwargs = dict(_key_value(word) for word in arguments.env_kwargs)
    from sb3_lander import findings
    from sb3_lander.assessment import Assessment
    from sb3_lander.saving import write_text

    assessment = Assessment(
        arguments.path,
        episodes=arguments.episodes,
        first_seed=arguments.first_seed,
        checkpoints=arguments.checkpoints,
        every=arguments.every,
        best=arguments.best,
        algo=arguments.algo,
        env_id=arguments.env,
        env_kwargs=env_kwargs,
        deterministic=not arguments.stochastic,
        safe=arguments.safe,
    )
    found = list(
        assessment.play(
            n_processes=arguments.processes,
            progress=sys.stderr.isatty(),
            videos=arguments.video,
            video_folder=arguments.video_folder,
        )
    )
    print(findings.table(found))
    if any(subject.borrowed for subject in assessment.subjects):
        print("note: models without normalisation statistics of their own were given the run's latest")
    written = [recording.path for assessed in found for recording in assessed.recordings.values()]
    if arguments.json is not None:
        write_text(arguments.json, findings.to_json(found, several=arguments.checkpoints))
        written.append(arguments.json)
    if arguments.csv is not None:
        write_text(arguments.csv, findings.to_csv(found))
        written.append(arguments.csv)
    if assessment.run is not None:
        started = (assessment.subjects[0].start_time or 0) / 1e9
        folder = assessment.run.tensorboard_folder(started, safe=arguments.safe)
        if folder is not None:
            try:
                written.append(findings.log(folder, found, env_kwargs))
            except OSError as error:
                print(f"note: nothing was added to the TensorBoard log {folder}: {error.strerror}")
    for path in written:
        print(f"wrote {path}")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="a run folder of the RL Zoo, or a model's .zip")
    add("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    add("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    add("--safe", action="store_true", help="run no code of the files, refuse what needs it")
    add("--algo", help="the algorithm (default: as the run or the model's settings tell)")
    add("--env", help="environment id (default: the run's, or LunarLanderContinuous-v3)")


def _export(arguments: argparse.Namespace) -> None:
    from sb3_lander.assessment import Assessment
    from sb3_lander.export import export

    assessment = Assessment(
        arguments.path, best=arguments.best, safe=arguments.safe, algo=arguments.algo, env_id=arguments.env
    )
    difference = export(assessment, arguments.onnx)
    print(f"wrote {arguments.onnx}; onnxruntime and torch differ by at most {difference:.1e} on 10,000 observations")


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="RUN", help="a run folder of the RL Zoo, e.g. logs/ppo/..._1")


def _resume(arguments: argparse.Namespace) -> None:
    from sb3_lander.resume import resume

    resume(arguments.path)


def _key_value(word: str) -> tuple[str, Any]:
    """Read ``key:value`` as the Zoo's ``--env-kwargs``, but only values that are Python literals."""
    key, _, text = word.partition(":")
    try:
        if not key.isidentifier():
            raise ValueError(f"{key!r} is not a name")
        return key, ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"--env-kwargs {word}: write key:value with a Python literal, as wind_power:15.0") from error


_VERBS = {
    "benchmark": _Verb(
        "Train many seeds of one or several recipes and measure them.", _benchmark_arguments, _benchmark
    ),
    "config": _Verb("Print the path of our hyperparameters, for --conf-file.", _config_arguments, _config),
    "evaluate": _Verb(
        "Play fixed tasks with a saved model, or with every checkpoint of a run, and report.",
        _evaluate_arguments,
        _evaluate,
    ),
    "export": _Verb("Write the deterministic policy as ONNX, and check it.", _export_arguments, _export),
    "resume": _Verb(
        "Continue an interrupted run from its newest whole checkpoint to its budget.", _resume_arguments, _resume
    ),
}
