"""``python -m sb3_lander resume``: continue an interrupted run."""

from __future__ import annotations

import argparse
from pathlib import Path

from sb3_lander.cli import Command


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="RUN", help="a run folder of the RL Zoo, e.g. logs/ppo/..._1")
    parser.epilog = "It unpickles the run's files, as the RL Zoo's own commands do: resume runs whose author you trust."


def _run(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.resume import resume

    resume(arguments.path)


COMMANDS = {
    "resume": Command(
        "Continue an interrupted run from its newest whole checkpoint to its budget.", _add_arguments, _run
    )
}
