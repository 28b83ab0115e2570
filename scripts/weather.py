"""Play the agents that ship, without and for any weather, in many weathers, and write what they come to.

Usage: python scripts/weather.py --out scripts/results/weather.json

A grid of gravities and winds, and 1,000 tasks in each of the named weathers. Nothing was chosen on these tasks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from sb3_lander import Agent, evaluate, fixed_tasks
from sb3_lander.agents import shipped_agent
from sb3_lander.parallel import ProcessExecutor
from sb3_lander.report.weather import weather_grid
from sb3_lander.runs.provenance import system_info

AGENTS: dict[str, dict[str, Any]] = {"without weather": {"algo": "ppo"}, "for any weather": {"weather": True}}
WEATHERS: dict[str, dict[str, Any]] = {
    "no wind": {"enable_wind": False, "gravity": -10.0},
    "wind 15, turbulence 1.5": {"enable_wind": True, "wind_power": 15.0, "turbulence_power": 1.5, "gravity": -10.0},
    "wind 20, turbulence 2": {"enable_wind": True, "wind_power": 20.0, "turbulence_power": 2.0, "gravity": -10.0},
    "gravity -2": {"enable_wind": False, "gravity": -2.0},
    "gravity -11.9": {"enable_wind": False, "gravity": -11.9},
}
FIRST_SEED = 50_000_000


def main() -> None:
    """Play, two weathers at a time, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=1000, help="tasks in each named weather (default: %(default)s)")
    parser.add_argument(
        "--grid-episodes", type=int, default=200, help="tasks in each of the grid (default: %(default)s)"
    )
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name, which in AGENTS.items():
        agent = Agent.load(shipped_agent(**which))
        with ProcessExecutor(2) as executor:
            grid = weather_grid(agent, executor, episodes=arguments.grid_episodes, first_seed=FIRST_SEED)
        named = {}
        for weather, env_kwargs in WEATHERS.items():
            tasks = fixed_tasks(agent.env_id, arguments.episodes, first_seed=FIRST_SEED, env_kwargs=env_kwargs)
            report = evaluate(agent, tasks, n_processes=2)
            named[weather] = report.summary()
            print(f"{name}, {weather}: {report.iqm_return:.1f}, {report.success_rate:.1%}", flush=True)
        cells = {"success": grid.success.tolist(), "iqm": grid.iqm.tolist()}
        found[name] = {"gravities": grid.gravities, "winds": grid.winds, **cells, "named": named}
    counts = {"episodes": arguments.episodes, "grid_episodes": arguments.grid_episodes, "first_seed": FIRST_SEED}
    results = {"machine": system_info(), **counts, "agents": found}
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
