"""The command line, ``python -m sb3_lander VERB``: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sb3_lander.cli import benchmark as benchmark_cli
from sb3_lander.cli import evaluate as evaluate_cli
from sb3_lander.cli import tune as tune_cli

__all__ = ["main"]


class _Verb(NamedTuple):
    """One command: what ``--help`` says, how its arguments are declared, and what it runs."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: The command line; ``sys.argv`` without the program's name when None.
    :return: The exit status: 0, 2 after a mistake in the input, which is reported in one line, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="sb3_lander", description="Train, evaluate and ship lunar landers.")
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in _VERBS.items():
        verb.add_arguments(commands.add_parser(name, help=verb.summary, description=verb.summary))
    parsed, rest = parser.parse_known_args(arguments)
    if parsed.verb in _PASSED_ON:
        parsed.rest = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        _VERBS[parsed.verb].run(parsed)
    except (ValueError, OSError, ImportError) as error:
        print(f"sb3_lander: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sb3_lander: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


# Each verb imports what it needs when it runs, so that --help does not wait for torch.


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algo", metavar="ALGO", help="ppo, sac, ..., or allenact for the tutorial's configuration")


def _config(arguments: argparse.Namespace) -> None:
    from sb3_lander.runs.entries import default_config

    print(default_config(arguments.algo))


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="RUN", help="a run folder of the RL Zoo, e.g. logs/ppo/..._1")


def _resume(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.resume import resume

    resume(arguments.path)


_PASSED_ON = ("enjoy", "push-to-hub")
"""Commands whose arguments are those of the Zoo's command."""


def _enjoy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "All arguments are the RL Zoo's: -n STEPS, --no-render, --seed, --env-kwargs, ..."


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "All arguments are the RL Zoo's: --algo, --env, -f FOLDER, -orga NAME, ..."


def _push(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.hub import push_to_hub

    push_to_hub(arguments.rest)


def _enjoy(arguments: argparse.Namespace) -> None:
    from sb3_lander.envs.registration import V3_ID
    from sb3_lander.runs.run import trained_folder

    sys.argv = ["enjoy", "--algo", "ppo", "--env", V3_ID, "-f", str(trained_folder()), *arguments.rest]
    from rl_zoo3.enjoy import enjoy

    enjoy()


_VERBS = {
    "benchmark": _Verb(
        "Train many seeds of one or several recipes and measure them.",
        benchmark_cli.add_benchmark_arguments,
        benchmark_cli.run_benchmark,
    ),
    "compare": _Verb(
        "Write a page that compares configurations over their seeds.",
        evaluate_cli.add_compare_arguments,
        evaluate_cli.run_compare,
    ),
    "config": _Verb("Print the path of our hyperparameters, for --conf-file.", _config_arguments, _config),
    "enjoy": _Verb("Watch the agent that ships with the package land.", _enjoy_arguments, _enjoy),
    "evaluate": _Verb(
        "Play fixed tasks with a saved model, or with every checkpoint of a run, and report.",
        evaluate_cli.add_evaluate_arguments,
        evaluate_cli.run_evaluate,
    ),
    "export": _Verb(
        "Write the deterministic policy as ONNX, and check it.",
        evaluate_cli.add_export_arguments,
        evaluate_cli.run_export,
    ),
    "push-to-hub": _Verb("Upload a run to the Hugging Face Hub, as the RL Zoo does.", _push_arguments, _push),
    "report": _Verb(
        "Write a page with pictures and videos of runs, in one file.",
        evaluate_cli.add_report_arguments,
        evaluate_cli.run_report,
    ),
    "resume": _Verb(
        "Continue an interrupted run from its newest whole checkpoint to its budget.", _resume_arguments, _resume
    ),
    "tune": _Verb(
        "Search hyperparameters with Optuna: several seeds a trial, any number of workers and machines.",
        tune_cli.add_arguments,
        tune_cli.run,
    ),
}
