"""``python -m sb3_lander report``: a page about one or several runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sb3_lander.cli import Command


def add_page_arguments(parser: argparse.ArgumentParser, page: str) -> None:
    """Declare the arguments of commands that write a page.

    :param page: Its name where none is given.
    """
    add = parser.add_argument
    add("-o", "--out", type=Path, default=Path(page), help="the page (default: %(default)s)")
    add("--episodes", type=int, default=100, help="fixed tasks for each run (default: %(default)s)")
    add("--figures", type=Path, metavar="DIR", help="save the figures as SVG and PNG too, for papers")
    add("--trust", action="store_true", help="unpickle the runs' files, which can run any code of their author")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "run folders of the RL Zoo: one, or several seeds side by side"
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help=what)
    add_page_arguments(parser, "report.html")


def _run(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.run_page import report

    for path in report(
        arguments.paths,
        arguments.out,
        episodes=arguments.episodes,
        figures=arguments.figures,
        trust=arguments.trust,
        progress=sys.stderr.isatty(),
    ):
        print(f"wrote {path}")


COMMANDS = {"report": Command("Write a page with figures and videos of runs, in one file.", _add_arguments, _run)}
