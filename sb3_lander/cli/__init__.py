"""The command line, ``python -m sb3_lander``: parse, call, print; one module a command.

A module imports what it needs when its command runs, so that ``--help`` does not wait for torch.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from typing import Any, NamedTuple


class Command(NamedTuple):
    """One command."""

    summary: str
    """What ``--help`` says."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Declares its arguments."""

    run: Callable[[argparse.Namespace], None]
    """Runs it."""

    passes_on: bool = False
    """Whether arguments that it does not know are those of a command of the RL Zoo, in ``rest``."""


def key_value(word: str) -> tuple[str, Any]:
    """Read ``key:value`` as the Zoo's ``--env-kwargs``, but only values that are Python literals.

    :raises ValueError: If it is none.
    """
    key, _, text = word.partition(":")
    try:
        if not key.isidentifier():
            raise ValueError(f"{key!r} is not a name")
        return key, ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"--env-kwargs {word}: write key:value with a Python literal, as wind_power:15.0") from error
