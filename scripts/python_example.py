"""Run the training in docs/parts/train_in_python.md with many seeds, and evaluate what each ends at.

Usage: python scripts/python_example.py --seeds 20 --out scripts/results/python_example.json
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.utils import set_random_seed

from sb3_lander import evaluate, fixed_tasks
from sb3_lander.envs import V3_ID
from sb3_lander.parallel import ProcessExecutor
from sb3_lander.runs.provenance import system_info

PAGE = Path(__file__).resolve().parent.parent / "docs" / "parts" / "train_in_python.md"


def train(seed: int) -> dict[str, Any]:
    """Run the example with another seed than its own, and return its model's report."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code.count("seed=0") == 1
    th.set_num_threads(1)
    set_random_seed(seed)
    names: dict[str, Any] = {}
    exec(compile(code.replace("seed=0", f"seed={seed}"), PAGE.name, "exec"), names)
    tasks = fixed_tasks(V3_ID, 200, first_seed=50_000_000)
    return {"seed": seed, **evaluate(names["model"], tasks).summary()}


def main() -> None:
    """Train two at a time and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1520, help="nothing was chosen on those from 1520 on")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with ProcessExecutor(2) as executor:
        finals = [future.result() for future in [executor.submit(train, seed) for seed in seeds]]
    arguments.out.write_text(json.dumps({"machine": system_info(), "runs": finals}, indent=1) + "\n")
    print(f"success: {sorted(final['success_rate'] for final in finals)}")


if __name__ == "__main__":
    main()
