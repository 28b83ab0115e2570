"""Compare the updates of RecurrentPPO with our LSTM policy and with sb3-contrib's own.

Usage: python scripts/lstm_speed.py [--blocks 10]

A model each, with the sizes of our entry for the lander and with those of the Zoo's, which our entry for four actions
has, in turn in one process with one thread. What counts is processor time: the median over the updates of theirs
divided by ours, and the extremes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
import yaml
from sb3_contrib import RecurrentPPO

from sb3_lander import EnvPoolVecEnv
from sb3_lander.policies import FastLstmPolicy

ENTRIES = Path(__file__).resolve().parent.parent / "hyperparams" / "ppo_lstm.yml"
SIZES = {"our entry's sizes": "LunarLanderContinuous-v3", "the Zoo's sizes": "LunarLander-v3"}


class Timed(RecurrentPPO):
    """RecurrentPPO that keeps the processor seconds of its updates."""

    seconds: list[float]

    def train(self) -> None:
        """Update, and keep what it took."""
        start = time.process_time()
        super().train()
        self.seconds.append(time.process_time() - start)


def make(policy: Any, env_id: str) -> Timed:
    """Return a model with the entry of a lander, which it flies in EnvPool."""
    entry = yaml.safe_load(ENTRIES.read_text())[env_id]
    env = EnvPoolVecEnv(env_id, entry["n_envs"], seed=0, num_threads=1)
    sizes = {name: entry[name] for name in ("n_steps", "batch_size", "n_epochs")}
    net = {
        name: value for name, value in entry["policy_kwargs"].items() if name != "activation_fn"
    }  # theirs takes no name
    model = Timed(policy, env, policy_kwargs=net, seed=0, device="cpu", **sizes)
    model.seconds = []
    return model


def main() -> None:
    """Let both learn in turn, a rollout at a time, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=10, help="updates each (default: %(default)s)")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    for name, env_id in SIZES.items():
        theirs, ours = (make(policy, env_id) for policy in ("MlpLstmPolicy", FastLstmPolicy))
        for _ in range(arguments.blocks):
            for model in (theirs, ours):
                model.learn(model.n_envs * model.n_steps, reset_num_timesteps=False)
        # The first rollouts begin all episodes at once.
        ratios = np.array(theirs.seconds[1:]) / np.array(ours.seconds[1:])
        print(
            f"{name}: {np.median(theirs.seconds[1:]):.2f} and {np.median(ours.seconds[1:]):.2f} seconds an update, "
            f"{np.median(ratios):.2f} times faster ({ratios.min():.2f} to {ratios.max():.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
