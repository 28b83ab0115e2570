"""Why trainings end with landers that rest on the pad with an engine on: what acts, values and noise say.

    python scripts/resting_state.py --seeds 3 25 33 0 > scripts/results/resting_state.txt

trains each seed of hyperparams/ppo.yml as it was before its noise was annealed (400,000 steps, episodes of 320 steps
throughout), counts how often the training itself saw a lander fall asleep, plays 40 tasks with and without the policy's
noise, and looks at every step on which both legs touch the ground and nothing moves.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.utils import set_random_seed

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.training import _manager

TASKS = range(2_000_000, 2_000_040)
QUIET = 0.02
"""Below this every observed velocity counts as rest; with an engine on, 0.01 to 0.02 is usual."""


BEFORE: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 1024,
    "n_epochs": 6,
    "gamma": 0.995,
    "gae_lambda": 0.98,
    "learning_rate": "lin_2.5e-3",
    "callback": [{"sb3_lander.short_episodes.ShortEpisodes": {"max_episode_steps": 320, "until": 800_000}}],
    "policy_kwargs": {"log_std_bounds": [-1.3, 0.5]},
}
"""The entry of before, as changes to today's."""


class Sleeps(BaseCallback):
    """Counts the training's episodes, and those that end asleep, in each quarter of the budget."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = np.zeros(4, dtype=int)
        self.slept = np.zeros(4, dtype=int)

    def _on_step(self) -> bool:
        quarter = min(3, 4 * self.num_timesteps // self.model._total_timesteps)
        self.ended[quarter] += self.locals["dones"].sum()
        # A lander that falls asleep gets exactly 100 with its last step; one that crashes, exactly -100.
        self.slept[quarter] += (self.locals["dones"] & (self.locals["rewards"] == 100)).sum()
        return True


def trained(seed: int, budget: int, changes: dict[str, Any]) -> tuple[BaseAlgorithm, Sleeps]:
    """Return a model after its budget, and how often the training saw a lander sleep."""
    recipe, sleeps = Recipe("resting", changes=changes), Sleeps()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        set_random_seed(seed)
        manager = _manager(recipe, Measurement(budget=budget, zoo_evaluations=False), seed, Path(folder))
        model, _ = manager.setup_experiment()
        model.learn(manager.n_timesteps, callback=CallbackList([*manager.callbacks, sleeps]), log_interval=None)
        model.env.close()
    return model, sleeps


def is_resting(obs: NDArray[np.float32]) -> bool:
    """Tell whether both legs touch the ground and nothing moves."""
    return bool(obs[6] and obs[7] and np.abs(obs[[2, 3, 5]]).max() < QUIET)


def fly(model: Any, env: gym.Env[Any, Any], seed: int, deterministic: bool = True, limit: int = 1000) -> dict[str, Any]:
    """Play one episode; return what was seen while resting, and when it slept."""
    obs, _ = env.reset(seed=seed)
    seen, total, rewards, slept, step = [], 0.0, [], False, 0
    for step in range(1, limit + 1):  # noqa: B007  # the number of steps is asked for
        action, _ = model.predict(obs, deterministic=deterministic)
        if is_resting(obs):
            seen.append((len(rewards), obs, action))
        obs, reward, terminated, _, _ = env.step(action)
        rewards.append(float(reward))
        total += float(reward)
        if terminated:
            slept = reward == 100
            break
    return {"rest": seen, "rewards": rewards, "return": total, "slept": slept, "length": step}


def look(model: Any, sleeps: Sleeps, seed: int) -> None:
    """Print one model's numbers."""
    env = gym.make("LunarLanderContinuous-v3")
    flights = [fly(model, env, task) for task in TASKS]
    stuck = [f for f in flights if f["length"] == 1000]
    slept = [f for f in flights if f["slept"]]
    noisy = [fly(model, env, task, deterministic=False) for task in TASKS]
    std = ", ".join(f"{value:.2f}" for value in model.policy.log_std.exp().tolist())
    quarters = ", ".join(f"{slept} of {ended}" for slept, ended in zip(sleeps.slept, sleeps.ended, strict=True))
    print(f"seed {seed}: std in the end {std} (main, lateral); training episodes that slept, by quarter: {quarters}")
    print(
        f"  deterministic: {len(slept)} of 40 sleep, {len(stuck)} run to step 1,000; with its noise "
        f"{sum(f['slept'] for f in noisy)} sleep, {sum(f['length'] == 1000 for f in noisy)} run to step 1,000"
    )
    for name, group in (("those that sleep", slept), ("those that do not", stuck)):
        if group:
            describe(name, group, model.gamma, model)


def describe(name: str, group: Sequence[dict[str, Any]], gamma: float, model: Any) -> None:
    """Print actions and values of the resting steps of some flights."""
    rest = [(f, *r) for f in group for r in f["rest"]]
    if not rest:
        print(f"  {name}: no resting step")
        return
    actions = np.array([r[3] for r in rest])
    main, lateral = actions[:, 0] > 0, np.abs(actions[:, 1]) > 0.5
    values = model.policy.predict_values(th.as_tensor(np.array([r[2] for r in rest]))).detach().numpy().ravel()
    # What really follows, discounted, with nothing beyond the flight's end.
    true = [sum(x * gamma**i for i, x in enumerate(f["rewards"][t:])) for f, t, _, _ in rest]
    costs = [f["rewards"][t] for f, t, _, _ in rest]
    print(
        f"  {name} ({len(group)}): {len(rest) / len(group):.0f} resting steps each; main on in {main.mean():.0%}, "
        f"lateral on in {lateral.mean():.0%}; main {actions[:, 0].mean():.2f}, "
        f"|lateral| {np.abs(actions[:, 1]).mean():.2f}; reward a step {np.median(costs):.3f} (median); "
        f"the critic's value {np.mean(values):.1f}, what follows {np.mean(true):.1f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 25, 33, 0])
    parser.add_argument("--budget", type=int, default=400_000)
    parser.add_argument("--today", action="store_true", help="the entry as it is now")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    for seed in arguments.seeds:
        look(*trained(seed, arguments.budget, {} if arguments.today else BEFORE), seed)
