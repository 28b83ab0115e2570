"""Commands around the RL Zoo's: ``zoo``, ``resume``, ``push-to-hub``, and ``config``, which tells if it knows us."""

import argparse
import importlib
import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any

from sb3_lander.cli import add_command

_ZOO_COMMANDS = ("train", "enjoy", "record_video")  # those that make environments; the Zoo's others read files


def add_to(commands: Any) -> None:
    """Add the commands of this module."""
    summary = "Run the RL Zoo's train, enjoy or record_video with this package in place, whatever else is installed."
    epilog = "zoo train -h lists the arguments of the Zoo's train, and so on."
    zoo = add_command(commands, "zoo", _zoo, summary, epilog).add_argument
    names = ", ".join(_ZOO_COMMANDS)
    zoo("zoo_command", type=lambda name: name.replace("-", "_"), choices=_ZOO_COMMANDS, metavar="COMMAND", help=names)
    zoo("rest", nargs=argparse.REMAINDER, metavar="...", help="that command's own arguments")

    summary = "Print the path of our hyperparameters, for --conf-file, or whether the RL Zoo's commands use them."
    what = "ppo, sac, ..., allenact (the tutorial's), weather or walker; without it: what there is, and the hook"
    add_command(commands, "config", _config, summary).add_argument("algo", nargs="?", metavar="ALGO", help=what)

    summary = "Continue an interrupted run from its newest whole checkpoint to its budget."
    epilog = "It unpickles the run's files, as the RL Zoo's own commands do: resume runs whose author you trust."
    resume = add_command(commands, "resume", _resume, summary, epilog)
    resume.add_argument("path", type=Path, metavar="RUN", help="a run folder of the RL Zoo, e.g. logs/ppo/..._1")

    summary = "Upload a run to the Hugging Face Hub, as the RL Zoo does."
    epilog = "All arguments are the RL Zoo's: --algo, --env, -f FOLDER, -orga NAME, ..."
    add_command(commands, "push-to-hub", _push, summary, epilog).set_defaults(passes_on=True)


def _zoo(arguments: argparse.Namespace) -> None:
    """Run ``python -m rl_zoo3.COMMAND`` with this package in place, whatever module is named ``custom_envs``."""
    from sb3_lander.zoo import register

    register()
    sys.argv = [f"sb3_lander zoo {arguments.zoo_command}", *arguments.rest]
    runpy.run_module(f"rl_zoo3.{arguments.zoo_command}", run_name="__main__")


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
    absent = f"there is no module custom_envs on Python's path ({ours} is it)"
    reason = f"{file} comes before {ours}" if file else absent
    return (
        f"The RL Zoo's commands do NOT use them here: {reason}. Use python -m sb3_lander zoo train ... instead, "
        "add --gym-packages sb3_lander to the Zoo's train and enjoy, or let that module do "
        "`from sb3_lander.zoo import register; register()`."
    )


def _resume(arguments: argparse.Namespace) -> None:
    from sb3_lander.zoo.resume import resume

    resume(arguments.path)


def _push(arguments: argparse.Namespace) -> None:
    """Run ``python -m rl_zoo3.push_to_hub``.

    The Zoo (2.9.2) imports ``generate_metadata``, which huggingface_sb3 3.0, the only release for gymnasium, calls
    ``_generate_metadata`` and returns as an object instead of a mapping: by itself the Zoo's command ends there.
    """
    # Not `import ... as`: the package gives the module's name to a function of it.
    library: Any = importlib.import_module("huggingface_sb3.push_to_hub")
    if not hasattr(library, "generate_metadata"):
        library.generate_metadata = lambda *about: library._generate_metadata(*about).to_dict()
    sys.argv = ["push_to_hub", *arguments.rest]
    runpy.run_module("rl_zoo3.push_to_hub", run_name="__main__")
