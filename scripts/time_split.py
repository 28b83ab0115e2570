"""Say where the time of a training with the PPO entry goes, and what no faster policy could save.

Usage: python scripts/time_split.py [--rollouts 40]

One training with the entry's environments, sizes and policy, in this process, with one thread of torch's and without
evaluations. Times are by the clock, so nothing else should run beside it.
"""

from __future__ import annotations

import argparse
from collections import Counter

import torch as th
from policy_speed import make_model

from sb3_lander.benchmark.training import time_method


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=40, help="rollouts to time (default: %(default)s)")
    arguments = parser.parse_args()
    model = make_model()
    rollout = model.n_steps * model.n_envs
    steps = arguments.rollouts * rollout
    batches = steps // model.batch_size * model.n_epochs
    model.learn(3 * rollout)  # what is slow only once
    whole: Counter[str] = Counter()
    time_method(model, "train", whole, "update")
    time_method(model, "collect_rollouts", whole, "rollout")
    time_method(model.env, "step", whole, "simulation")
    # The policy's code, and torch's engine that calls it.
    ours: Counter[str] = Counter()
    time_method(model.policy, "evaluate_actions", ours, "the policy's forward pass")
    time_method(th.Tensor, "backward", ours, "the backward pass")
    time_method(model.policy.optimizer, "step", ours, "the optimizer's step")
    clipping: Counter[str] = Counter()
    time_method(th.nn.utils, "clip_grad_norm_", clipping, "torch's clipping of the gradient")
    model.learn(steps)

    passes = ours.total()
    parts = ours + clipping
    parts["SB3's loop and its sampling"] = whole["update"] - parts.total()
    for name, seconds in parts.most_common():
        print(f"{name:34} {1e6 * seconds / batches:7.0f} microseconds a minibatch of {model.batch_size}")
    training = whole["update"] + whole["rollout"]
    print(f"{'simulation, of a rollout':34} {100 * whole['simulation'] / whole['rollout']:7.0f} %")
    print(f"{'update, of a training':34} {100 * whole['update'] / training:7.0f} %")
    print(f"{'steps a second':34} {steps / training:7,.0f}")
    print(f"{'with passes and steps for nothing':34} {steps / (training - passes):7,.0f}")


if __name__ == "__main__":
    main()
