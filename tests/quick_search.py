"""``python quick_search.py STORAGE FOLDER [CLUSTER]``: a search whose trainings take a moment and need no environment.

Every training leaves a file in FOLDER that its process's number and its seed name, so that somebody can kill it, and a
second one when it is done.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.parallel import ProcessExecutor
from sb3_lander.parallel.cluster import ClusterExecutor
from sb3_lander.tuning import tune
from sb3_lander.tuning.search import Search

TRIALS, SEEDS = 40, 2
SPACE = {"gamma": {"low": 0.9, "high": 0.999}, "policy_kwargs.net_arch": {"choices": {"small": [8], "large": [16]}}}


def quick_search() -> Search:
    """Return what is searched."""
    entry = {"policy": "MlpPolicy", "n_timesteps": 512, "gamma": 0.95}
    return Search("ppo", "LunarLanderContinuous-v3", entry, SPACE, seeds=SEEDS)


def train_quickly(folder: str, _: int, recipe: Recipe, seed: int, __: Measurement) -> dict[str, Any]:
    """Stand in for a training; the result follows from the seed and the parameters."""
    running = Path(folder, f"running.{os.getpid()}")
    running.touch()
    time.sleep(0.2)
    Path(folder, f"done.{seed}.{uuid.uuid4().hex}").touch()
    running.unlink()
    return {"final": {"mean_return": seed % 1000 + recipe.changes.get("gamma", 0.0)}}


class Quick(Executor):
    """An executor that trains quickly, on another one."""

    def __init__(self, executor: Executor, folder: str) -> None:
        self._executor = executor
        self._folder = folder

    @property
    def workers(self) -> int:
        """As the other one's."""
        return int(getattr(self._executor, "workers", 1))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Train quickly, whatever the function."""
        return self._executor.submit(train_quickly, self._folder, *args, **kwargs)


def main() -> None:
    """Search until all trials have ended."""
    storage, folder, *cluster = sys.argv[1:]
    with ClusterExecutor(cluster[0]) if cluster else ProcessExecutor(3) as executor:
        tune(
            quick_search(),
            "s",
            storage=storage,
            trials=TRIALS,
            executor=Quick(executor, folder),
            sampler="random",
            pruner="none",
            progress=False,
        )


if __name__ == "__main__":
    from quick_search import main as importable  # what workers import is not what runs as __main__

    importable()
