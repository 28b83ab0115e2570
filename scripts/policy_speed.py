"""Compare the speed of two checkouts of this package: PPO's updates and rollouts with the recipe for the lander.

Usage: python scripts/policy_speed.py OTHER_CHECKOUT [--blocks 60]

A process each trains with its checkout's package. They take turns, one iteration at a time, so that a machine whose
speed drifts slows both alike. What counts is processor time, and the median over the blocks of this checkout's speed
divided by the other's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stable_baselines3 import PPO

HERE = Path(__file__).resolve().parent.parent
SETTINGS = ("n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm")


def make_model(num_threads: int | None = None) -> PPO:
    """Return PPO with the recipe for the lander, of the package that is first on the path.

    :param num_threads: EnvPool's; torch gets one.
    """
    import torch as th
    import yaml
    from stable_baselines3 import PPO

    import sb3_lander

    th.set_num_threads(1)
    recipe = yaml.safe_load((HERE / "hyperparams" / "ppo.yml").read_text())["LunarLanderContinuous-v3"]
    env = sb3_lander.EnvPoolVecEnv("LunarLanderContinuous-v3", recipe["n_envs"], seed=0, num_threads=num_threads)
    options = {name: recipe[name] for name in SETTINGS}
    return PPO(
        sb3_lander.SeparateActorCriticPolicy,
        env,
        learning_rate=2.5e-3,
        policy_kwargs=recipe["policy_kwargs"],
        device="cpu",
        seed=0,
        **options,
    )


def serve() -> None:
    """Train with the package that is first on the path; for each line on stdin one iteration, and its figures."""
    import sb3_lander

    model = make_model(num_threads=1)
    env = model.env
    steps = model.n_steps * model.n_envs
    updates = model.n_epochs * steps // model.batch_size
    _, callback = model._setup_learn(10**9)
    callback.on_training_start({}, {})

    def rates(count: int, do: Callable[[], object]) -> list[float]:
        wall, cpu = time.perf_counter(), time.process_time()
        do()
        return [count / (time.process_time() - cpu), count / (time.perf_counter() - wall)]

    print(json.dumps(sb3_lander.__file__), flush=True)
    for _ in sys.stdin:
        collected = rates(steps, lambda: model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps))
        print(json.dumps([*rates(updates, model.train), *collected]), flush=True)


def main() -> None:
    """Measure and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare this one with")
    parser.add_argument("--blocks", type=int, default=60)
    arguments = parser.parse_args()
    workers = []
    for checkout in (HERE, arguments.other):
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
        code = (
            f"import sys; sys.path.insert(1, {str(Path(__file__).parent)!r}); import policy_speed; policy_speed.serve()"
        )
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        print(f"{checkout}: {worker.stdout.readline().strip()}")
        workers.append(worker)

    def block(worker: subprocess.Popen[str]) -> list[float]:
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(file=worker.stdin, flush=True)
        figures: list[float] = json.loads(worker.stdout.readline())
        return figures

    blocks = []
    for turn in range(arguments.blocks + 3):
        order = (0, 1) if turn % 2 else (1, 0)
        figures = {i: block(workers[i]) for i in order}
        blocks.append([figures[0], figures[1]])
    for worker in workers:
        worker.communicate("")
    speeds = np.array(blocks[3:])
    names = ("updates/s, processor time", "updates/s", "rollout steps/s, processor time", "rollout steps/s")
    for i, name in enumerate(names):
        low, ratio, high = np.quantile(speeds[:, 0, i] / speeds[:, 1, i], (0.25, 0.5, 0.75))
        ours, theirs = np.median(speeds[:, :, i], axis=0)
        print(f"{name:34} {ours:9,.0f} against {theirs:9,.0f}: {ratio:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
