"""``python -m sb3_lander export``: a policy as ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path

from sb3_lander.cli import Command
from sb3_lander.cli.evaluate import add_model_arguments


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--safe", action="store_true", help=argparse.SUPPRESS)


def _run(arguments: argparse.Namespace) -> None:
    from sb3_lander.agents.agent import Agent
    from sb3_lander.agents.onnx import export

    options = {"trust": arguments.trust, "algo": arguments.algo, "env_id": arguments.env}
    difference = export(Agent.load(arguments.path, best=arguments.best, **options), arguments.onnx)
    print(f"wrote {arguments.onnx}; onnxruntime and torch differ by at most {difference:.1e} on 10,000 observations")


COMMANDS = {"export": Command("Write the deterministic policy as ONNX, and check it.", _add_arguments, _run)}
