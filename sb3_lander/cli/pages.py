"""Commands that write a page: ``report`` about runs, ``compare`` about configurations over their seeds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sb3_lander.cli import add_command, pick


def add_to(commands: Any) -> None:
    """Add the commands of this module."""
    summary = "Write a page with figures and videos of runs, in one file."
    what = "run folders of the RL Zoo: one, or several seeds side by side"
    _add_page(commands, "report", _report, summary, "RUN", what)
    summary = "Write a page that compares configurations over their seeds."
    what = "a benchmark's JSON, a run folder of the RL Zoo, or a folder of runs that are one configuration's seeds"
    _add_page(commands, "compare", _compare, summary, "A", what)


def _add_page(commands: Any, name: str, run: Any, summary: str, path: str, what: str) -> None:
    add = add_command(commands, name, run, summary).add_argument
    add("paths", nargs="+", type=Path, metavar=path, help=what)
    add("-o", "--out", type=Path, default=Path(f"{name}.html"), help="the page (default: %(default)s)")
    add("--episodes", type=int, default=100, help="fixed tasks for each run (default: %(default)s)")
    add("--figures", type=Path, metavar="DIR", help="save the figures as SVG and PNG too, for papers")
    add("--trust", action="store_true", help="unpickle the runs' files, which can run any code of their author")


def _report(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.run_page import report

    options = pick(arguments, "episodes", "figures", "trust")
    for path in report(arguments.paths, arguments.out, progress=sys.stderr.isatty(), **options):
        print(f"wrote {path}")


def _compare(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.comparison import compare, read_configurations

    options = {"progress": sys.stderr.isatty(), **pick(arguments, "episodes", "trust")}
    found = [one for path in arguments.paths for one in read_configurations(path, **options)]
    for path in compare(found, arguments.out, figures=arguments.figures):
        print(f"wrote {path}")
