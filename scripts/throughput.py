"""Measure how many steps a second each kind of vectorised environment makes, with random actions.

Usage: python scripts/throughput.py [-o scripts/results/throughput.json] [--seconds 0.1]

The kinds take turns in many short blocks, forwards and backwards, so that a machine whose speed drifts slows all of
them alike; each figure is the median of its blocks. ``b2World.Step`` is the physics alone, as gymnasium calls it: no
vectorisation can be faster than it on one core of this machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import Box2D
import envpool
import gymnasium as gym
import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from sb3_lander.envs.batched_subproc_vec_env import BatchedSubprocVecEnv
from sb3_lander.envs.registration import V3_ID
from sb3_lander.envs.selection import EnvPoolVecEnv
from sb3_lander.runs.provenance import system_info

ENVS = (1, 8, 16, 32, 64, 128, 256, 512)
THREADS = (1, 2)
LARGEST_SUBPROC = 64
"""SubprocVecEnv has a process for each environment: beyond this they cost gigabytes, and only slow each other."""

BLOCKS = 20


def actions(n_envs: int) -> np.ndarray:
    """Return 64 rounds of random actions."""
    return np.random.default_rng(0).uniform(-1, 1, (64, n_envs, 2)).astype(np.float32)


def stepper(step: Callable[[Any], Any], n_envs: int) -> Callable[[float], float]:
    """Return what steps for some seconds and tells the environment steps a second."""
    rounds = actions(n_envs)

    def block(seconds: float) -> float:
        done, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            for action in rounds[:16]:
                step(action)
            done += 16
        return done * n_envs / (now - start)

    return block


def candidates(n_envs: int) -> dict[str, tuple[Callable[[float], float], Callable[[], None]]]:
    """Make every kind of environment for one number of them: what steps it, and what closes it."""
    made = {}
    for cls in (DummyVecEnv, SubprocVecEnv, BatchedSubprocVecEnv):
        name = cls.__name__ if cls is BatchedSubprocVecEnv else f"gymnasium {cls.__name__}"
        if cls is not SubprocVecEnv or n_envs <= LARGEST_SUBPROC:
            venv = make_vec_env(V3_ID, n_envs, seed=0, env_kwargs={"render_mode": None}, vec_env_cls=cls)
            venv.reset()
            made[name] = (stepper(venv.step, n_envs), venv.close)
    for threads in THREADS:
        if threads > n_envs:
            continue
        pool = envpool.make_gymnasium(V3_ID, num_envs=n_envs, seed=0, num_threads=threads)
        pool.reset()
        made[f"EnvPool, {threads} threads"] = (stepper(pool.step, n_envs), pool.close)
        ours = EnvPoolVecEnv(V3_ID, n_envs, seed=0, num_threads=threads)
        ours.reset()
        made[f"EnvPoolVecEnv, {threads} threads"] = (stepper(ours.step, n_envs), ours.close)
    return made


def physics_alone(seconds: float) -> float:
    """Return how many ``b2World.Step`` calls fit in a second, timed inside gymnasium's lander under random actions."""
    spent, calls, real_step = 0.0, 0, Box2D.b2World.Step

    def timed(*args: Any) -> None:
        nonlocal spent, calls
        start = time.perf_counter()
        real_step(*args)
        spent += time.perf_counter() - start
        calls += 1

    Box2D.b2World.Step = timed
    try:
        env = gym.make(V3_ID).unwrapped
        env.reset(seed=0)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for action in actions(1)[:, 0]:
                if env.step(action)[2]:
                    env.reset()
    finally:
        Box2D.b2World.Step = real_step
    return calls / spent


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results" / "throughput.json")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a block")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    quartiles: dict[str, dict[str, list[float]]] = {}
    gains: dict[str, dict[str, list[float]]] = {}
    for n_envs in ENVS:
        made = candidates(n_envs)
        blocks: dict[str, list[float]] = {name: [] for name in made}
        for turn in range(BLOCKS):
            for name in sorted(made, reverse=turn % 2 == 1):
                blocks[name].append(made[name][0](arguments.seconds))
        for _block, close in made.values():
            close()
        for name, values in blocks.items():
            figures.setdefault(name, {})[str(n_envs)] = round(float(np.median(values)))
            for other in ("DummyVecEnv", "SubprocVecEnv"):
                if name == "BatchedSubprocVecEnv" and (base := blocks.get(f"gymnasium {other}")):
                    gain = [ours / theirs for ours, theirs in zip(values, base, strict=True)]
                    gains.setdefault(other, {})[str(n_envs)] = np.quantile(gain, (0.25, 0.5, 0.75)).round(3).tolist()
            raw = blocks.get(name.replace("EnvPoolVecEnv", "EnvPool"))
            if name.startswith("EnvPoolVecEnv") and raw:
                pairs = [ours / theirs for ours, theirs in zip(values, raw, strict=True)]
                quartiles.setdefault(name, {})[str(n_envs)] = np.quantile(pairs, (0.25, 0.5, 0.75)).round(3).tolist()
        print(
            n_envs, {name: values[str(n_envs)] for name, values in figures.items() if str(n_envs) in values}, flush=True
        )
    physics = [physics_alone(arguments.seconds) for _ in range(BLOCKS)]
    results = {
        "machine": system_info(),
        "seconds_per_block": arguments.seconds,
        "steps_per_second": figures,
        "envpool_vec_env_over_raw_quartiles": quartiles,
        "batched_subproc_vec_env_over_others_quartiles": gains,
        "largest_subproc_vec_env": LARGEST_SUBPROC,
        "b2world_step_per_second": round(float(np.median(physics))),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"b2World.Step alone: {results['b2world_step_per_second']:,} a second on one core")


if __name__ == "__main__":
    main()
