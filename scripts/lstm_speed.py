"""Compare the updates of RecurrentPPO with our LSTM policy and with sb3-contrib's own.

Usage: python scripts/lstm_speed.py [--blocks 10]

A model each, with the sizes of our entry for the lander and with those of the Zoo's, in turn in one process with one
thread. What counts is processor time: the median over the updates of theirs divided by ours, and the extremes.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch as th
from sb3_contrib import RecurrentPPO

from sb3_lander import EnvPoolVecEnv
from sb3_lander.policies import FastLstmPolicy

NET = {"ortho_init": False, "lstm_hidden_size": 64, "net_arch": {"pi": [64], "vf": [64]}}
SIZES: dict[str, tuple[int, dict[str, Any], bool]] = {
    "our entry's sizes": (64, {"n_steps": 64, "batch_size": 1024, "n_epochs": 8}, False),
    "the Zoo's sizes": (32, {"n_steps": 512, "batch_size": 128, "n_epochs": 4}, True),
}


class Timed(RecurrentPPO):
    """RecurrentPPO that keeps the processor seconds of its updates."""

    seconds: list[float]

    def train(self) -> None:
        """Update, and keep what it took."""
        start = time.process_time()
        super().train()
        self.seconds.append(time.process_time() - start)


def make(policy: Any, n_envs: int, sizes: dict[str, Any], critic: bool) -> Timed:
    """Return a model that flies landers in EnvPool."""
    env = EnvPoolVecEnv("LunarLanderContinuous-v3", n_envs, seed=0, num_threads=1)
    net = {**NET, "enable_critic_lstm": critic}
    model = Timed(policy, env, policy_kwargs=net, seed=0, device="cpu", **sizes)
    model.seconds = []
    return model


def main() -> None:
    """Let both learn in turn, a rollout at a time, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=10, help="updates each (default: %(default)s)")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    for name, (n_envs, sizes, critic) in SIZES.items():
        theirs, ours = (make(policy, n_envs, sizes, critic) for policy in ("MlpLstmPolicy", FastLstmPolicy))
        for _ in range(arguments.blocks):
            for model in (theirs, ours):
                model.learn(n_envs * sizes["n_steps"], reset_num_timesteps=False)
        # The first rollouts begin all episodes at once.
        ratios = np.array(theirs.seconds[1:]) / np.array(ours.seconds[1:])
        print(
            f"{name}: {np.median(theirs.seconds[1:]):.2f} and {np.median(ours.seconds[1:]):.2f} seconds an update, "
            f"{np.median(ratios):.2f} times faster ({ratios.min():.2f} to {ratios.max():.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
