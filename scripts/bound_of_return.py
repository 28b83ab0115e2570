"""Say what bounds the return, and what the agent that ships loses against that bound.

Usage: python scripts/bound_of_return.py [--episodes 1000]

The simulator's reward is a potential's difference, less fuel, and 100 instead of the last step's for coming to rest. So
a landing's return is 100 + potential(end) - potential(start) - fuel, and the potential at the end is at most 20: both
legs down, upright, at rest in the pad's centre. The start is the task's; only the place and the fuel are the agent's.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import gymnasium as gym
import numpy as np

from sb3_lander import Agent, evaluate, fixed_tasks
from sb3_lander.agents import shipped_agent

FIRST_TASK = 50_000_000
"""The tasks of the shipped report."""


def potential(observation: np.ndarray) -> float:
    """Return ``LunarLander``'s shaping of an observation."""
    x, y, vx, vy, angle, _, left, right = observation
    return float(-100 * (np.hypot(x, y) + np.hypot(vx, vy) + abs(angle)) + 10 * (left + right))


def main() -> None:
    """Print the bound, and where the rest went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1000)
    args = parser.parse_args()
    env = gym.make("LunarLanderContinuous-v3")
    seeds = range(FIRST_TASK, FIRST_TASK + args.episodes)
    bounds = [120.0 - potential(env.reset(seed=seed)[0]) for seed in seeds]
    agent = Agent.load(shipped_agent())
    report = evaluate(agent, fixed_tasks(agent.env_id, args.episodes, first_seed=FIRST_TASK))
    landed = [(bound, e) for bound, e in zip(bounds, report.episodes, strict=True) if e.outcome == "landed_on_pad"]
    fuel = fmean(episode.fuel or 0.0 for _, episode in landed)
    loss = fmean(bound - episode.episode_return for bound, episode in landed)
    print(f"bound without fuel, landing in the pad's centre: {fmean(bounds):.1f} on average")
    print(f"the agent's {len(landed)} landings: {fmean(e.episode_return for _, e in landed):.1f}, {loss:.1f} below it:")
    print(f"  fuel {fuel:.1f}, off the centre, tilted or not yet at rest {loss - fuel:.1f}")


if __name__ == "__main__":
    main()
