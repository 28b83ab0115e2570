"""Commands that lead to the RL Zoo's: ``zoo``, ``push-to-hub``, and ``config``, which tells whether it knows us."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import runpy
import sys
from pathlib import Path

from sb3_lander.cli import Command

_ZOO_COMMANDS = ("train", "enjoy", "record_video")
"""Those that make environments; the Zoo's others read files."""


def _zoo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "zoo train -h lists the arguments of the Zoo's train, and so on."
    parser.add_argument(
        "zoo_command",
        type=lambda name: name.replace("-", "_"),
        choices=_ZOO_COMMANDS,
        metavar="COMMAND",
        help=", ".join(_ZOO_COMMANDS),
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="that command's own arguments")


def _zoo(arguments: argparse.Namespace) -> None:
    """Run ``python -m rl_zoo3.COMMAND`` with this package in place, whatever module is named ``custom_envs``."""
    from sb3_lander.zoo import register

    register()
    sys.argv = [f"sb3_lander zoo {arguments.zoo_command}", *arguments.rest]
    runpy.run_module(f"rl_zoo3.{arguments.zoo_command}", run_name="__main__")


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "algo",
        nargs="?",
        metavar="ALGO",
        help="ppo, sac, ..., or allenact for the tutorial's configuration; without it: what there is, and the hook",
    )


def _config(arguments: argparse.Namespace) -> None:
    """Print the path of an algorithm's file, or all names and what becomes of the hook."""
    from sb3_lander.runs.entries import config_names, default_config

    if arguments.algo is not None:
        print(default_config(arguments.algo))
        return
    print(f"Hyperparameters: {', '.join(config_names())}")
    print(_hook())


def _hook() -> str:
    """Let the Zoo import what it imports, and tell whether its commands then use this package."""
    manager = importlib.import_module("rl_zoo3.exp_manager").ExperimentManager
    # Not sys.modules: the Zoo goes on without a word where the module fails with an ImportError.
    found = importlib.util.find_spec("custom_envs")
    file = None if found is None else found.origin or next(iter(found.submodule_search_locations or ()), None)
    if "__new__" in vars(manager):
        return f"The RL Zoo's commands use them for this package's environments ({file} is the hook)."
    ours = Path(__file__).resolve().parents[2] / "custom_envs.py"
    reason = (
        f"{file} comes before {ours}" if file else f"there is no module custom_envs on Python's path ({ours} is it)"
    )
    return (
        f"The RL Zoo's commands do NOT use them here: {reason}. Use python -m sb3_lander zoo train ... instead, "
        "add --gym-packages sb3_lander to the Zoo's train and enjoy, or let that module do "
        "`from sb3_lander.zoo import register; register()`."
    )


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "All arguments are the RL Zoo's: --algo, --env, -f FOLDER, -orga NAME, ..."


def _push(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.hub import push_to_hub

    push_to_hub(arguments.rest)


COMMANDS = {
    "config": Command(
        "Print the path of our hyperparameters, for --conf-file, or whether the RL Zoo's commands use them.",
        _config_arguments,
        _config,
    ),
    "push-to-hub": Command(
        "Upload a run to the Hugging Face Hub, as the RL Zoo does.", _push_arguments, _push, passes_on=True
    ),
    "zoo": Command(
        "Run the RL Zoo's train, enjoy or record_video with this package in place, whatever else is installed.",
        _zoo_arguments,
        _zoo,
    ),
}
