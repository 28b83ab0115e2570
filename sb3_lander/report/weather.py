"""One agent in many weathers: fixed tasks at each gravity and wind, as a table, as JSON and as a heat map."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import product
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from matplotlib.axes import Axes
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.agents.agent import Agent
from sb3_lander.envs.weather import LIMITS
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.output import Evaluated
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.task import fixed_tasks
from sb3_lander.parallel.executors import run
from sb3_lander.report.pages import Plot

GRAVITIES = (-2.0, -4.0, -6.0, -8.0, -10.0, -11.9)
"""From a weak gravity to nearly the strongest that gymnasium takes; its default is -10."""

WINDS = (0.0, 5.0, 10.0, 15.0, 20.0)
"""From none to the strongest wind that gymnasium recommends; its default is 15."""


@dataclass(frozen=True)
class WeatherGrid:
    """What an agent comes to at each gravity and wind.

    :param gravities: The rows.
    :param winds: The columns.
    :param results: One for each weather, row by row.
    """

    gravities: tuple[float, ...]
    winds: tuple[float, ...]
    results: tuple[Evaluated, ...]

    @property
    def success(self) -> np.ndarray:
        """Successes in percent, of shape ``(n_gravities, n_winds)``."""
        return self._matrix([100 * one.report.success_rate for one in self.results])

    @property
    def iqm(self) -> np.ndarray:
        """Interquartile means of the returns, of shape ``(n_gravities, n_winds)``."""
        return self._matrix([one.report.iqm_return for one in self.results])

    def _matrix(self, values: Sequence[float]) -> np.ndarray:
        return np.array(values).reshape(len(self.gravities), len(self.winds))

    def __str__(self) -> str:
        agent, report = self.results[0].agent, self.results[0].report
        seeds = f"seeds {report.episodes[0].seed} to {report.episodes[-1].seed}"
        lines = [
            f"{self.results[0].model} after {agent.step:,} steps",
            f"{report.env_id}: {len(report.episodes)} fixed tasks ({seeds}) in each weather, deterministic",
        ]
        for name, values, unit in (("success", self.success, "%"), ("return (iqm)", self.iqm, "")):
            lines.append(f"  {name:<15}" + "".join(f"{f'wind {wind:g}':>9}" for wind in self.winds))
            for gravity, row in zip(self.gravities, values, strict=True):
                lines.append(f"  gravity {gravity:<7g}" + "".join(f"{f'{value:.1f}{unit}':>9}" for value in row))
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the reports with their episodes, row by row, as ``{"weathers": [...]}``."""
        return json.dumps({"weathers": [one.to_dict() for one in self.results]}, indent=1) + "\n"

    def plot(self) -> Plot:
        """Show success and return over gravity and wind."""
        row, column = np.unravel_index(np.argmin(self.success), self.success.shape)
        where = f"gravity {self.gravities[row]:g}, wind {self.winds[column]:g}"
        text = f"Success is between {self.success.min():.1f}% ({where}) and {self.success.max():.1f}%, "
        text += f"the return's interquartile mean between {self.iqm.min():.0f} and {self.iqm.max():.0f}."
        draw = heat_maps(self.gravities, self.winds, self.success, self.iqm)
        return Plot("weather", "Success and return in each weather", text, draw, (7.0, 3.0), (1, 2))


def heat_maps(
    gravities: Sequence[float], winds: Sequence[float], success: np.ndarray, iqm: np.ndarray
) -> Callable[..., None]:
    """Return what draws success and return over gravity and wind on two panels.

    :param gravities: The rows.
    :param winds: The columns.
    :param success: Percent, of shape ``(n_gravities, n_winds)``.
    :param iqm: Interquartile means of the returns, of the same shape.
    """
    panels: list[tuple[str, np.ndarray, str, tuple[int, int]]] = [
        ("success, %", success, ".1f", (50, 100)),
        ("interquartile mean of the return", iqm, ".0f", (0, 300)),
    ]

    def draw(*axes: Axes) -> None:
        for one, (title, values, form, (low, high)) in zip(axes, panels, strict=True):
            one.pcolormesh(values, cmap="viridis", vmin=low, vmax=high)
            for (row, column), value in np.ndenumerate(values):
                ink = "black" if value > (low + high) / 2 else "white"
                text = one.text(column + 0.5, row + 0.5, f"{value:{form}}", color=ink, fontsize=8)
                text.set(ha="center", va="center")
            one.set_xticks(np.arange(len(winds)) + 0.5, [f"{wind:g}" for wind in winds])
            one.set_yticks(np.arange(len(gravities)) + 0.5, [f"{gravity:g}" for gravity in gravities])
            one.invert_yaxis()
            one.tick_params(length=0)
            one.set_title(title, fontsize=9)
            one.set(xlabel="wind")
        axes[0].set_ylabel("gravity")

    return draw


def weather_grid(
    agent: Agent,
    executor: Executor,
    *,
    gravities: Sequence[float] = GRAVITIES,
    winds: Sequence[float] = WINDS,
    turbulence: float | None = None,
    episodes: int = 100,
    first_seed: int = 1_000_000,
    progress: bool = False,
) -> WeatherGrid:
    """Play the same fixed tasks in each weather.

    :param agent: An agent for the lander. Weather that its run's :class:`~sb3_lander.envs.RandomWeather` would draw
        gives way to the grid's.
    :param executor: What plays; a weather is an item.
    :param gravities: Between -12 and 0, without these.
    :param winds: Powers of the wind, from 0 to 20.
    :param turbulence: Power of the turbulence, from 0 to 2; a tenth of the wind's when None, as in gymnasium's default.
    :param episodes: Tasks in each weather.
    :param first_seed: The first task's seed.
    :param progress: Show a progress bar.
    :raises ValueError: If a value is out of range, or the agent's environment has no weather.
    """
    weathers = [_weather(gravity, wind, turbulence) for gravity, wind in product(gravities, winds)]
    tasks = [
        fixed_tasks(agent.env_id, episodes, first_seed=first_seed, env_kwargs={**agent.env_kwargs, **weather})
        for weather in weathers
    ]
    # No lander, no weather: better said here than by a worker.
    agent.make_env(**weathers[0]).close()
    items = [(i, cloudpickle.dumps((agent, some))) for i, some in enumerate(tasks)]
    reports: dict[int, EvaluationReport] = {}
    for (i, _), future in tqdm(run(executor, _play, items), total=len(items), unit="weather", disable=not progress):
        reports[i] = future.result()
    results = tuple(Evaluated(agent, reports[i]) for i in range(len(items)))
    return WeatherGrid(tuple(gravities), tuple(winds), results)


def _weather(gravity: float, wind: float, turbulence: float | None) -> dict[str, Any]:
    """Return keyword arguments of ``gym.make``; without wind and turbulence those of the lander without."""
    power = wind / 10 if turbulence is None else turbulence
    for name, value in zip(LIMITS, (gravity, wind, power), strict=True):
        lowest, highest = LIMITS[name]
        if not lowest <= value <= highest or (name == "gravity" and value in LIMITS[name]):
            ends = "between -12 and 0, such as -11.9" if name == "gravity" else f"from {lowest:g} to {highest:g}"
            raise ValueError(f"{name} {value:g} is out of gymnasium's range: it must be {ends}")
    return {"gravity": gravity, "enable_wind": wind > 0 or power > 0, "wind_power": wind, "turbulence_power": power}


def _play(_: int, sent: bytes) -> EvaluationReport:
    return evaluate(*cloudpickle.loads(sent))
