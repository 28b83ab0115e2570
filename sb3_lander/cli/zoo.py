"""Commands that lead to the RL Zoo's: the path of our entries, and the upload to the Hub."""

from __future__ import annotations

import argparse

from sb3_lander.cli import Command

__all__ = ["COMMANDS"]


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algo", metavar="ALGO", help="ppo, sac, ..., or allenact for the tutorial's configuration")


def _config(arguments: argparse.Namespace) -> None:
    from sb3_lander.runs.entries import default_config

    print(default_config(arguments.algo))


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "All arguments are the RL Zoo's: --algo, --env, -f FOLDER, -orga NAME, ..."


def _push(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.hub import push_to_hub

    push_to_hub(arguments.rest)


COMMANDS = {
    "config": Command("Print the path of our hyperparameters, for --conf-file.", _config_arguments, _config),
    "push-to-hub": Command(
        "Upload a run to the Hugging Face Hub, as the RL Zoo does.", _push_arguments, _push, passes_on=True
    ),
}
