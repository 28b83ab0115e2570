"""The command line, ``python -m sb3_lander``: parse, call, print; commands of one kind in a module.

A module imports what it needs when its command runs, so that ``--help`` does not wait for torch.
"""

import argparse
import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], summary: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Add a command to what ``add_subparsers`` returned, and return its parser, for its arguments."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary, epilog=epilog)
    parser.set_defaults(run=run)
    return parser


def add_model_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Declare the arguments that name a saved model; with words for a default, the path may be left out."""
    add = parser.add_argument
    what = "a run folder of the RL Zoo, or a model's .zip" + (f" (default: {default})" if default else "")
    add("path", nargs="?" if default else None, type=Path, metavar="PATH", help=what)
    add("--algo", help="with --trust, the algorithm (default: as the run or the model's settings tell)")
    what = "environment id (default: the run's, or the lander that takes the model's actions)"
    add("--env", dest="env_id", metavar="ENV", help=what)
    add("--safe", action="store_true", help=argparse.SUPPRESS)  # what it asked for is how every file is loaded now
    add_loading_arguments(parser)


def add_loading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how a model is loaded."""
    parser.add_argument("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    parser.add_argument(
        "--trust", action="store_true", help="unpickle the files, which can run any code of their author"
    )


def add_playing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how a model is played; :func:`env_kwargs` reads the first."""
    add = parser.add_argument
    add("--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="as enable_wind:True wind_power:15.0")
    add("--stochastic", action="store_true", help="sample the actions instead of taking the most likely ones")


def pick(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return some of the arguments, to pass them on by their names."""
    return {name: getattr(arguments, name) for name in names}


def env_kwargs(words: list[str]) -> dict[str, Any]:
    """Read ``key:value`` as the Zoo's ``--env-kwargs``, but only values that are Python literals.

    :raises ValueError: If one is none.
    """
    found = {}
    for word in words:
        key, _, text = word.partition(":")
        try:
            if not key.isidentifier():
                raise ValueError(f"{key!r} is not a name")
            found[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            message = f"--env-kwargs {word}: write key:value with a Python literal, as wind_power:15.0"
            raise ValueError(message) from error
    return found
