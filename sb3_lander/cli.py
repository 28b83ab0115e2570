"""The command line, ``python -m sb3_lander VERB``: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
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
    parser.add_argument(
        "algo", metavar="ALGO", help="ppo, sac, ..., or allenact for the tutorial's configuration"
    )


def _config(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo import default_config

    print(default_config(arguments.algo))


_VERBS = {
    "config": _Verb("Print the path of our hyperparameters, for --conf-file.", _config_arguments, _config),
}
