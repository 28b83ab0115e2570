"""Commands for one agent: ``enjoy`` watches it, ``export`` writes its policy as ONNX."""

import argparse
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from sb3_lander import cli


def add_to(commands: Any) -> None:
    """Add the commands of this module."""
    enjoy = cli.add_command(
        commands, "enjoy", _enjoy, "Watch an agent: the one that ships with the package, or your own."
    )
    add = enjoy.add_argument
    add("path", nargs="?", type=Path, metavar="PATH", help="a run folder or .zip (default: the agent that ships)")
    add("--algo", help="of the agent that ships; or with --trust, of PATH (default: the best; as PATH tells)")
    what = "of the agent that ships; or to play PATH in (default: LunarLanderContinuous-v3; as PATH tells)"
    add("--env", dest="env_id", metavar="ENV", help=what)
    add("--weather", action="store_true", help="the agent that ships for any wind and gravity, in weathers at random")
    add("-n", "--n-timesteps", type=int, default=1000, help="steps to play (default: %(default)s)")
    add("--no-render", action="store_true", help="open no window")
    add("--seed", type=int, default=0, help="seed of the first episode (default: %(default)s)")
    cli.add_playing_arguments(enjoy)
    cli.add_loading_arguments(enjoy)
    export = cli.add_command(commands, "export", _export, "Write the deterministic policy as ONNX, and check it.")
    cli.add_model_arguments(export)
    export.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")


def _enjoy(arguments: argparse.Namespace) -> None:
    """Fly one episode after another, and say what each comes to, in the words of the Zoo's ``enjoy``."""
    if arguments.n_timesteps < 1:
        raise ValueError(f"-n {arguments.n_timesteps} must be at least 1 step")
    kwargs = cli.env_kwargs(arguments.env_kwargs)
    from stable_baselines3.common.monitor import Monitor

    from sb3_lander.agents.agent import Agent, shipped_agent
    from sb3_lander.envs.registration import V3_ID, use_dummy_display_if_headless

    path, algo = arguments.path, arguments.algo
    if path is None:
        path = shipped_agent(algo, env_id=arguments.env_id or V3_ID, weather=arguments.weather)
        algo = None
    elif arguments.weather:
        raise ValueError(f"--weather names an agent that ships, and {path} another: leave one of them out")
    agent = Agent.load(path, algo=algo, env_kwargs=kwargs, **cli.pick(arguments, "env_id", "best", "trust"))
    use_dummy_display_if_headless()
    successes: list[bool] = []
    steps, seed = 0, arguments.seed
    with Monitor(agent.make_env(render_mode=None if arguments.no_render else "human")) as env:
        while steps < arguments.n_timesteps:
            observation, _ = env.reset(seed=seed)
            state, start, over = None, True, False
            while not over and steps < arguments.n_timesteps:
                action, state = agent.predict(observation, state, [start], not arguments.stochastic)
                observation, _, terminated, truncated, info = env.step(action)
                start, over, steps = False, terminated or truncated, steps + 1
            if over:
                successes += [info["is_success"]] if "is_success" in info else []
                print(f"Episode Reward: {info['episode']['r']:.2f}\nEpisode Length {info['episode']['l']}")
            seed += 1
    returns, lengths = env.get_episode_rewards(), env.get_episode_lengths()
    if successes:
        print(f"Success rate: {100 * fmean(successes):.2f}%")
    if returns:
        print(f"{len(returns)} Episodes\nMean reward: {fmean(returns):.2f} +/- {pstdev(returns):.2f}")
        print(f"Mean episode length: {fmean(lengths):.2f} +/- {pstdev(lengths):.2f}")


def _export(arguments: argparse.Namespace) -> None:
    from sb3_lander.agents.agent import Agent
    from sb3_lander.agents.onnx import export

    agent = Agent.load(arguments.path, **cli.pick(arguments, "best", "trust", "algo", "env_id"))
    difference = export(agent, arguments.onnx)
    print(f"wrote {arguments.onnx}; onnxruntime and torch differ by at most {difference:.1e} on 10,000 observations")
