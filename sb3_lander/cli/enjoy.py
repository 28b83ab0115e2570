"""``python -m sb3_lander enjoy``: watch an agent, the one that ships with the package or any other."""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from sb3_lander.cli import Command, key_value

if TYPE_CHECKING:
    from sb3_lander.agents.agent import Agent


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", nargs="?", type=Path, metavar="PATH", help="a run folder or .zip (default: the agent that ships)")
    add("--algo", help="of the agent that ships; or with --trust, of PATH (default: ppo; as PATH tells)")
    add("-n", "--n-timesteps", type=int, default=1000, help="steps to play (default: %(default)s)")
    add("--no-render", action="store_true", help="open no window")
    add("--seed", type=int, default=0, help="seed of the first episode (default: %(default)s)")
    add("--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="as enable_wind:True wind_power:15.0")
    add("--stochastic", action="store_true", help="sample the actions instead of taking the most likely ones")
    add("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    add("--trust", action="store_true", help="unpickle the files, which can run any code of their author")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.n_timesteps < 1:
        raise ValueError(f"-n {arguments.n_timesteps} must be at least 1 step")
    env_kwargs = dict(key_value(word) for word in arguments.env_kwargs)
    from sb3_lander.agents.agent import Agent, shipped_agent
    from sb3_lander.envs.registration import use_dummy_display_if_headless

    path, algo = arguments.path, arguments.algo
    if path is None:
        path, algo = shipped_agent(algo or "ppo"), None
    agent = Agent.load(path, best=arguments.best, trust=arguments.trust, algo=algo, env_kwargs=env_kwargs)
    use_dummy_display_if_headless()
    _play(agent, arguments)


def _play(agent: Agent, arguments: argparse.Namespace) -> None:
    """Fly one episode after another, and say what each comes to, in the words of the Zoo's ``enjoy``."""
    env = agent.make_env(render_mode=None if arguments.no_render else "human")
    returns: list[float] = []
    lengths: list[int] = []
    successes: list[bool] = []
    steps, seed = 0, arguments.seed
    try:
        while steps < arguments.n_timesteps:
            observation, _ = env.reset(seed=seed)
            state, start, total, length, over = None, True, 0.0, 0, False
            while not over and steps < arguments.n_timesteps:
                action, state = agent.predict(observation, state, [start], not arguments.stochastic)
                observation, reward, terminated, truncated, info = env.step(action)
                start, over = False, terminated or truncated
                total, length, steps = total + float(reward), length + 1, steps + 1
            if over:
                returns.append(total)
                lengths.append(length)
                successes += [info["is_success"]] if "is_success" in info else []
                print(f"Episode Reward: {total:.2f}\nEpisode Length {length}")
            seed += 1
    finally:
        env.close()
    if successes:
        print(f"Success rate: {100 * fmean(successes):.2f}%")
    if returns:
        print(f"{len(returns)} Episodes\nMean reward: {fmean(returns):.2f} +/- {pstdev(returns):.2f}")
        print(f"Mean episode length: {fmean(lengths):.2f} +/- {pstdev(lengths):.2f}")


COMMANDS = {"enjoy": Command("Watch an agent: the one that ships with the package, or your own.", _add_arguments, _run)}
