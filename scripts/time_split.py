"""Say where the time of a training with the PPO entry goes, and what no faster policy could save.

Usage: python scripts/time_split.py [--rollouts 40]

One training with the entry's environments, sizes and policy, in this process, with one thread of torch's and without
evaluations. Times are by the clock, so nothing else should run beside it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch as th
import yaml
from stable_baselines3 import PPO

from sb3_lander import EnvPoolVecEnv, SeparateActorCriticPolicy

ENTRY = Path(__file__).resolve().parent.parent / "hyperparams" / "ppo.yml"
SETTINGS = ("n_steps", "batch_size", "n_epochs", "clip_range", "gamma", "gae_lambda", "vf_coef", "max_grad_norm")
OURS = ("the policy's forward pass", "the backward pass", "the optimizer's step")
"""What a minibatch spends in code of ours, and in torch's engine that calls it."""


class Clock:
    """Seconds and calls by name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Time a method of an object, or a function of a module, from here on."""
        called: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return called(*args, **kwargs)
            finally:
                self.add(name, time.perf_counter() - start)

        setattr(owner, method, timed)

    def watch_batches(self, buffer: Any, name: str) -> None:
        """Time what a rollout buffer takes for its minibatches."""
        get = buffer.get

        def timed(batch_size: int) -> Iterator[Any]:
            start = time.perf_counter()
            for batch in get(batch_size):
                self.add(name, time.perf_counter() - start)
                yield batch
                start = time.perf_counter()

        buffer.get = timed

    def add(self, name: str, seconds: float) -> None:
        """Count one call."""
        self.seconds[name] += seconds
        self.calls[name] += 1


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=40, help="rollouts to time (default: %(default)s)")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    entry = yaml.safe_load(ENTRY.read_text())["LunarLanderContinuous-v3"]
    env = EnvPoolVecEnv("LunarLanderContinuous-v3", entry["n_envs"], seed=0)
    options = {name: entry[name] for name in SETTINGS}
    model = PPO(SeparateActorCriticPolicy, env, policy_kwargs=entry["policy_kwargs"], device="cpu", seed=0, **options)
    rollout = model.n_steps * model.n_envs
    model.learn(3 * rollout)  # what is slow only once
    clock = Clock()
    clock.watch(model.policy, "evaluate_actions", OURS[0])
    clock.watch(th.Tensor, "backward", OURS[1])
    clock.watch(model.policy.optimizer, "step", OURS[2])
    clock.watch(th.nn.utils, "clip_grad_norm_", "torch's clipping of the gradient")
    clock.watch_batches(model.rollout_buffer, "SB3's sampling of minibatches")
    clock.watch(env, "step", "EnvPool's steps")
    clock.watch(model, "train", "update")
    clock.watch(model, "collect_rollouts", "rollout")
    model.learn(arguments.rollouts * rollout)

    steps, batches = arguments.rollouts * rollout, clock.calls[OURS[1]]
    update, collected = clock.seconds.pop("update"), clock.seconds.pop("rollout")
    simulated = clock.seconds.pop("EnvPool's steps")
    clock.seconds["the rest of SB3's loop"] = update - sum(clock.seconds.values())
    for name, seconds in clock.seconds.most_common():
        print(f"{name:34} {1e6 * seconds / batches:7.0f} microseconds a minibatch of {model.batch_size}")
    ours = sum(clock.seconds[name] for name in OURS)
    print(f"{'simulation, of a rollout':34} {100 * simulated / collected:7.0f} %")
    print(f"{'update, of a training':34} {100 * update / (update + collected):7.0f} %")
    print(f"{'steps a second':34} {steps / (update + collected):7,.0f}")
    print(f"{'with passes and steps for nothing':34} {steps / (update + collected - ours):7,.0f}")


if __name__ == "__main__":
    main()
