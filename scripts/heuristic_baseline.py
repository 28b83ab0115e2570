"""Judge gymnasium's own hand-written controller for the lander on fixed tasks: what learning has to beat.

Usage: python scripts/heuristic_baseline.py [--episodes 200]
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.lunar_lander import heuristic

from sb3_lander import evaluate, fixed_tasks
from sb3_lander.envs.registration import V3_ID


class Heuristic:
    """The controller behind SB3's ``predict``."""

    def __init__(self) -> None:
        self._env = gym.make(V3_ID)
        self.observation_space, self.action_space = self._env.observation_space, self._env.action_space

    def predict(
        self, observation: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Return an action for each row of observations."""
        return np.array([heuristic(self._env, row) for row in observation], dtype=np.float32), None


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    print(evaluate(Heuristic(), fixed_tasks(V3_ID, parser.parse_args().episodes)))


if __name__ == "__main__":
    main()
