"""``python -m sb3_lander compare``: a page that compares configurations over their seeds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sb3_lander.cli import Command
from sb3_lander.cli.report import add_page_arguments


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "a benchmark's JSON, a run folder of the RL Zoo, or a folder of runs that are one configuration's seeds"
    parser.add_argument("paths", nargs="+", type=Path, metavar="A", help=what)
    add_page_arguments(parser, "compare.html")


def _run(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.comparison import compare, read_configurations

    options = {"episodes": arguments.episodes, "trust": arguments.trust, "progress": sys.stderr.isatty()}
    found = [one for path in arguments.paths for one in read_configurations(path, **options)]
    for path in compare(found, arguments.out, figures=arguments.figures):
        print(f"wrote {path}")


COMMANDS = {"compare": Command("Write a page that compares configurations over their seeds.", _add_arguments, _run)}
