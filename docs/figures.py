"""The figures of the documentation, drawn from the committed results for light and for dark pages."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from update_readme import algorithm_speeds, beside_ours, inverse, load

from sb3_lander.benchmark.runner import runs_of, summary, to_target
from sb3_lander.report.weather import heat_maps


def new_axes(height: float = 3.4) -> tuple[Figure, Axes]:
    """Return a figure that is as wide as a page, and its axes."""
    figure = Figure(figsize=(7.0, height), layout="constrained")
    return figure, figure.subplots()


def draw_mean(axes: Axes, runs: Sequence[Mapping[str, Any]], label: str, steps_per_second: float = 1.0) -> None:
    """Draw the mean return of a recipe's seeds against steps, or seconds at a speed, and the seeds' range."""
    curves = [
        ([point["steps"] for point in run["curve"]], [point["mean_return"] for point in run["curve"]]) for run in runs
    ]
    # Each training is looked at often until it reaches its targets, so the steps differ from seed to seed.
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid = np.linspace(first, last, 300)
    values = np.array([np.interp(grid, steps, returns) for steps, returns in curves])
    seeds = "1 seed" if len(runs) == 1 else f"{len(runs)} seeds"
    across = grid / steps_per_second
    (line,) = axes.plot(across, values.mean(axis=0), label=f"{label}, {seeds}")
    axes.fill_between(across, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2, linewidth=0)


def finish_curves(axes: Axes, **options: Any) -> None:
    """Add what all learning curves have: the line at 200, the label of the returns and the legend."""
    axes.axhline(200, color="grey", linewidth=0.8, linestyle="--")
    axes.set(ylabel="return over 100 fixed tasks", xlim=(0, None), **options)
    axes.legend(loc="lower right")


def curves(*shown: tuple[str, str, str]) -> Callable[[], Figure]:
    """Return what draws the learning curves of some results, each given as a file's name, a recipe and its label."""

    def draw() -> Figure:
        figure, axes = new_axes()
        for name, recipe, label in shown:
            draw_mean(axes, runs_of(load(name), recipe), label)
        axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1e6:g}")
        finish_curves(axes, xlabel="environment steps (millions)")
        return figure

    return draw


def algorithms() -> Figure:
    """Draw the learning curves of our entry of each algorithm against seconds, those of a training that runs alone."""
    figure, axes = new_axes(height=4.2)
    results, speeds = beside_ours("algorithms"), algorithm_speeds()
    for name in results["recipes"]:
        if "Zoo" not in name:
            speed = speeds[name]["steps_per_second_with_evaluations"].value
            draw_mean(axes, runs_of(results, name), name.upper(), speed)
    finish_curves(axes, xlabel="seconds", ylim=(-200, 300))
    return figure


def seconds_to_target() -> Figure:
    """Draw each seed's seconds to a mean return of 200, ours and the Zoo's, on a logarithmic axis."""
    results = load("solving")
    figure, axes = new_axes(height=2.2)
    names = list(results["recipes"])
    for i, name in enumerate(names):
        seconds = [value for value in to_target(runs_of(results, name), "200", "seconds") if math.isfinite(value)]
        axes.scatter(seconds, [i] * len(seconds), s=28, alpha=0.6, linewidths=0)
    axes.set(
        xscale="log", xlabel="seconds to a mean return of 200 (each dot is one seed)", ylim=(len(names) - 0.5, -0.5)
    )
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], labels=["1", "2", "5", "10", "20", "50", "100"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(names)), names)
    return figure


def ingredients() -> Figure:
    """Draw what the recipe without one ingredient costs, in multiples of the whole recipe's time to 250."""
    rows = summary(load("ablation"), baseline="everything")
    names = [name for name in rows if name != "everything"]
    figure, axes = new_axes(height=3.2)
    for i, name in enumerate(names):
        for target, colour, shift in (("200", "C1", -0.14), ("250", "C0", 0.14)):
            times = inverse(rows[name]["speedup"][target])
            label = f"to {target}" if i == 0 else None
            axes.plot([times.low, times.high], [i + shift] * 2, color=colour, linewidth=2, alpha=0.5)
            axes.plot([times.value], [i + shift], "o", color=colour, markersize=5, label=label)
    axes.axvline(1.0, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="times the seconds of the whole recipe (medians, 95% intervals)", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.legend(loc="lower right")
    return figure


def throughput() -> Figure:
    """Draw steps a second against the number of environments."""
    figure, axes = new_axes()
    for name, rates in load("throughput")["steps_per_second"].items():
        axes.plot([int(n) for n in rates], [rate / 1e3 for rate in rates.values()], "o-", markersize=3, label=name)
    axes.set(xscale="log", xlabel="environments", ylabel="thousand steps a second", ylim=(0, None))
    counts = [1, 8, 16, 32, 64, 128, 256, 512]
    axes.set_xticks(counts, labels=map(str, counts))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper left", fontsize=7.5)
    return figure


def weather(name: str) -> Callable[[], Figure]:
    """Return what draws the heat maps of an agent that ships."""

    def draw() -> Figure:
        agent = load("weather")["agents"][name]
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        success, iqm = np.array(agent["success"]), np.array(agent["iqm"])
        heat_maps(agent["gravities"], agent["winds"], success, iqm)(*figure.subplots(1, 2))
        return figure

    return draw


FIGURES: dict[str, Callable[[], Figure]] = {
    "learning_curves": curves(("default_budget", "ppo", "our entry"), ("beside_zoo", "zoo", "the Zoo's entry")),
    "allenact": curves(("allenact", "allenact", "AllenAct's pipeline"), ("default_budget", "ppo", "our entry")),
    "algorithms": algorithms,
    "seconds_to_target": seconds_to_target,
    "ingredients": ingredients,
    "throughput": throughput,
    "weather_without": weather("without weather"),
    "weather_any": weather("for any weather"),
}


def draw(name: str, theme: str) -> bytes:
    """Return a figure as SVG, for ``light`` or ``dark`` pages, on a transparent ground."""
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = dict.fromkeys(inked, {"light": "#222222", "dark": "#e6e6e6"}[theme])
    settings |= {"font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    # With fixed ids, and without a date below, the same figure is the same file.
    settings |= {"svg.hashsalt": "sb3-lander", "svg.fonttype": "none"}
    out = io.BytesIO()
    with mpl.rc_context(settings):
        FIGURES[name]().savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()
