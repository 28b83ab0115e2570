"""Where the lander flew: the paths of fixed tasks, with the ground below them, and what the policy does where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium.envs.box2d.lunar_lander import LunarLander

from sb3_lander.agents.agent import Agent
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.outcome import Episode
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.rollout import watched
from sb3_lander.evaluation.task import Task


@dataclass(frozen=True)
class Flight:
    """One episode's path, in metres from the pad's centre.

    :param episode: What came out of it.
    :param path: Positions of the lander's centre, shape ``(length + 1, 2)``.
    :param ground: Corners of the terrain, from left to right, shape ``(n, 2)``.
    """

    episode: Episode
    path: np.ndarray
    ground: np.ndarray


def fly(agent: Agent, tasks: Sequence[Task]) -> tuple[EvaluationReport, list[Flight]]:
    """Play tasks as :func:`~sb3_lander.evaluation.evaluate` does, and keep the paths.

    :return: Its report, and the flights in the order of their seeds.
    :raises ValueError: If the environment is not the lander, or ``evaluate`` refuses the model or a task.
    """
    paths: dict[int | None, list[np.ndarray]] = {}
    grounds: dict[int | None, np.ndarray] = {}

    def look(env: gym.Env[Any, Any]) -> None:
        lander: Any = env.unwrapped
        if not isinstance(env.unwrapped, LunarLander):
            raise ValueError(f"only the lander's flights can be drawn, not those of {lander}")
        seed, body = lander.np_random_seed, lander.lander.position
        pad = np.array([(lander.helipad_x1 + lander.helipad_x2) / 2, lander.helipad_y])
        if seed not in grounds:
            corners = [polygon[0] for polygon in lander.sky_polys] + [lander.sky_polys[-1][1]]
            grounds[seed] = np.array(corners, dtype=float) - pad
        paths.setdefault(seed, []).append(np.array([body.x, body.y]) - pad)

    report = evaluate(watched(agent, look), tasks)
    return report, [Flight(one, np.array(paths[one.seed]), grounds[one.seed]) for one in report.episodes]


@dataclass(frozen=True)
class Slice:
    """What the policy does over position, all else being equal.

    :param x: Observed horizontal positions, shape ``(columns,)``: -1 and 1 are the screen's edges.
    :param y: Observed heights above the pad, shape ``(rows,)``.
    :param main: The main engine's command, from -1 (off up to 0) to 1, shape ``(rows, columns)``.
    :param side: The side engines' command, negative for the left one, off between -0.5 and 0.5, of the same shape.
    :param value: The critic's value, as the training scaled its rewards; None for a policy without a critic of states.
    """

    x: np.ndarray
    y: np.ndarray
    main: np.ndarray
    side: np.ndarray
    value: np.ndarray | None


def slice_policy(agent: Agent, *, others: Mapping[int, float]) -> Slice:
    """Ask the policy for its action and value over a grid of positions.

    :param agent: A policy for the lander's eight observations.
    :param others: The other observations, by their index; 0 where none is given.
    """
    x, y = np.linspace(-1.0, 1.0, 81), np.linspace(0.0, 1.5, 61)
    grid = np.zeros((y.size * x.size, 8), dtype=np.float32)
    grid[:, 0], grid[:, 1] = np.tile(x, y.size), np.repeat(y, x.size)
    for index, value in others.items():
        grid[:, index] = value
    main, side = _commands(agent.predict(grid)[0]).reshape(2, y.size, x.size)
    policy: Any = agent.policy
    values = None
    if hasattr(policy, "predict_values"):
        observations = grid if agent.vec_normalize is None else agent.vec_normalize.normalize_obs(grid)
        with th.no_grad():
            values = policy.predict_values(policy.obs_to_tensor(observations)[0]).numpy().reshape(y.size, x.size)
    return Slice(x, y, main, side, values)


def _commands(actions: np.ndarray) -> np.ndarray:
    """Return the main engine's and the side engines' commands, shape ``(2, n)``, as the continuous lander takes them.

    :param actions: Shape ``(n, 2)``, or ``(n,)`` of the discrete lander: none, left, main or right engine.
    """
    engines = np.array([[-1.0, -1.0, 1.0, -1.0], [0.0, -1.0, 0.0, 1.0]])
    return actions.T if actions.ndim == 2 else engines[:, actions]
