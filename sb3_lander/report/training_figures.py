"""Plots of trainings: returns, success and losses against steps and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from sb3_lander.report.pages import MARK, Plot
from sb3_lander.runs.training_log import Series, TrainingLog, band

TARGET = 200.0
"""The return from which the lander counts as solved."""

_LOSSES = {
    "train/value_loss": "value loss",
    "train/policy_gradient_loss": "policy loss",
    "train/entropy_loss": "entropy loss",
    "train/approx_kl": "KL divergence",
    "train/explained_variance": "explained variance",
    "train/std": "std of the actions",
    "train/actor_loss": "actor loss",
    "train/critic_loss": "critic loss",
    "train/ent_coef": "entropy coefficient",
}


def label_steps(axes: Axes, label: str = "environment steps (millions)") -> None:
    """Say on the horizontal axis that it counts millions of steps."""
    axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1e6:g}")
    axes.set(xlabel=label, xlim=(0, None))


def draw_band(axes: Axes, series: Sequence[Series], label: str) -> None:
    """Draw one seed thinly, or the mean and range of several."""
    if len(series) == 1:
        axes.plot(series[0].steps, series[0].values, label=label)
        return
    grid, values = band(series)
    (line,) = axes.plot(grid, values.mean(axis=0), label=f"{label}, mean of {len(series)}")
    axes.fill_between(grid, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2, linewidth=0)


def learning_curve(logs: Sequence[TrainingLog], *, by: Literal["steps", "seconds"]) -> Plot | None:
    """Show the returns of the training's episodes, and of the Zoo's evaluations, against steps or seconds.

    :return: The plot; None if no run has monitor files.
    """
    kept = [(log.returns, log.seconds) for log in logs if log.returns is not None and log.seconds is not None]
    if not kept:
        return None
    trained = [returns if by == "steps" else Series(seconds.values, returns.values) for returns, seconds in kept]
    evaluated = [log.evaluations for log in logs if log.evaluations is not None and by == "steps"]

    def draw(axes: Axes) -> None:
        draw_band(axes, trained, "training episodes")
        if evaluated:
            draw_band(axes, evaluated, "evaluations")
        axes.axhline(TARGET, **MARK)
        axes.set(xlabel="seconds", ylabel="return", xlim=(0, None))
        if by == "steps":
            label_steps(axes)
        axes.legend(loc="lower right")

    text = f"Against {by}: {_course('training episodes', trained, by)}"
    if evaluated:
        text += f"; {_course('deterministic evaluations', evaluated, by)}"
    return Plot(f"returns_by_{by}", f"Return against {by}", f"{text}.", draw)


def _course(kind: str, series: Sequence[Series], unit: str) -> str:
    """Say whether and from when on returns reached the target, and what they end at."""
    reached = [one.steps[np.argmax(one.values >= TARGET)] for one in series if (one.values >= TARGET).any()]
    when = f", first at {min(reached):,.0f} {unit}" if reached else ""
    ends = ", ".join(f"{one.values[-1]:.0f}" for one in series)
    return f"the {kind} of {len(reached)} of {len(series)} trainings reach {TARGET:g}{when}, and they end at {ends}"


def success(logs: Sequence[TrainingLog]) -> Plot | None:
    """Show the share of training episodes that succeed, against steps."""
    kept = [log.success for log in logs if log.success is not None]
    if not kept:
        return None

    def draw(axes: Axes) -> None:
        draw_band(axes, [Series(series.steps, 100 * series.values) for series in kept], "training episodes")
        axes.set(ylabel="success, %", ylim=(0, 102))
        label_steps(axes)

    ends = ", ".join(f"{series.values[-1]:.0%}" for series in kept)
    text = f"Share of training episodes with a return of 200 or more. At the end: {ends}."
    return Plot("success", "Success rate in training", text, draw, (7.0, 2.6))


def losses(logs: Sequence[TrainingLog]) -> Plot | None:
    """Show what SB3 logged of the updates; None without a TensorBoard log."""
    found = {tag: [log.scalars[tag] for log in logs if tag in log.scalars] for tag in _LOSSES}
    found = {_LOSSES[tag]: series for tag, series in found.items() if series}
    if not found:
        return None
    columns = min(3, len(found))
    rows = -(-len(found) // columns)

    def draw(*panels: Axes) -> None:
        for axes, (title, series) in zip(panels, found.items(), strict=False):
            for one in series:
                axes.plot(one.steps, one.values, linewidth=0.9)
            axes.set_title(title, fontsize=9)
            label_steps(axes, "")
        for axes in panels[len(found) :]:
            axes.set_visible(False)

    ends = "; ".join(
        f"{name} " + ", ".join(f"{one.values[-1]:.3g}" for one in series) for name, series in found.items()
    )
    text = f"What SB3 logged of the updates; last values: {ends}."
    return Plot("losses", "Losses and the std of the actions", text, draw, (7.0, 1.9 * rows), (rows, columns))
