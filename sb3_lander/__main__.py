"""The command line, ``python -m sb3_lander COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

_MODULES = ("agent", "evaluation", "training", "zoo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: The command line; ``sys.argv`` without the program's name when None.
    :return: The exit status: 0, 2 after a mistake in the input, which is reported in one line, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="sb3_lander", description="Train, evaluate and ship lunar landers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _MODULES:
        importlib.import_module(f"sb3_lander.cli.{module}").add_to(commands)
    parsed, rest = parser.parse_known_args(arguments)
    if getattr(parsed, "passes_on", False):  # what it does not know is a command of the RL Zoo's to read
        parsed.rest = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        parsed.run(parsed)
    except (ValueError, OSError, ImportError) as error:
        print(f"sb3_lander: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sb3_lander: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
