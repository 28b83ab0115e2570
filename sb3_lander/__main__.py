"""The command line, ``python -m sb3_lander COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

_MODULES = ("agent", "evaluation", "training", "zoo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: The command line; ``sys.argv`` without the program's name when None.
    :return: The exit status: 0, 2 after a mistake in the input, which is reported in one line, 130 after Ctrl-C, or 141
        when what reads the output, such as ``head``, has ended.
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
        sys.stdout.flush()
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and not _anybody_reads():
            return 141  # what a shell says of a program that SIGPIPE ended
        print(f"sb3_lander: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sb3_lander: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


def _anybody_reads() -> bool:
    """Return whether what reads the output still does; if not, throw the rest away, which Python writes as it ends."""
    try:
        print(flush=True)  # an error may have come from another pipe, and after it nothing may be left to flush
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
