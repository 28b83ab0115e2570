"""Plots of trainings: returns, success and losses against steps and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sb3_lander.report.plot import Plot, new_axes
from sb3_lander.runs.training_log import Series, TrainingLog, band

TARGET = 200.0
"""The return from which the lander counts as solved."""


def label_steps(axes: Axes) -> None:
    """Say on the horizontal axis that it counts millions of steps."""
    axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1e6:g}")
    axes.set(xlabel="environment steps (millions)", xlim=(0, None))


def draw_band(axes: Axes, series: Sequence[Series], label: str, colour: str | None = None) -> None:
    """Draw each seed thinly, and where there are several their mean and range."""
    if len(series) == 1:
        axes.plot(series[0].steps, series[0].values, label=label, color=colour)
        return
    grid, values = band(series)
    (line,) = axes.plot(grid, values.mean(axis=0), label=f"{label}, mean of {len(series)}", color=colour)
    axes.fill_between(grid, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2, linewidth=0)


def learning_curve(logs: Sequence[TrainingLog], *, by: Literal["steps", "seconds"]) -> Plot | None:
    """Show the returns of the training's episodes, and of the Zoo's evaluations, against steps or seconds.

    :return: The plot; None if no run has monitor files.
    """
    kept = [(log.returns, log.seconds) for log in logs if log.returns is not None and log.seconds is not None]
    if not kept:
        return None
    evaluated = [log.evaluations for log in logs if log.evaluations is not None]
    trained = [returns if by == "steps" else Series(seconds.values, returns.values) for returns, seconds in kept]

    def draw() -> Figure:
        figure, (axes,) = new_axes()
        draw_band(axes, trained, "training episodes")
        if by == "steps" and evaluated:
            draw_band(axes, evaluated, "evaluations")
        axes.axhline(TARGET, color="grey", linewidth=0.8, linestyle="--")
        axes.set(xlabel="seconds", ylabel="return", xlim=(0, None))
        if by == "steps":
            label_steps(axes)
        axes.legend(loc="lower right")
        return figure

    text = f"Against {by}: {_course('training episodes', trained, by)}"
    if by == "steps" and evaluated:
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

    def draw() -> Figure:
        figure, (axes,) = new_axes(height=2.6)
        draw_band(axes, [Series(series.steps, 100 * series.values) for series in kept], "training episodes")
        axes.set(ylabel="success, %", ylim=(0, 102))
        label_steps(axes)
        return figure

    ends = ", ".join(f"{series.values[-1]:.0%}" for series in kept)
    return Plot(
        "success",
        "Success rate in training",
        f"Share of training episodes with a return of 200 or more. At the end: {ends}.",
        draw,
    )


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


def losses(logs: Sequence[TrainingLog]) -> Plot | None:
    """Show what SB3 logged of the updates; None without a TensorBoard log."""
    tags = [tag for tag in _LOSSES if any(tag in log.scalars for log in logs)]
    if not tags:
        return None

    def draw() -> Figure:
        columns = min(3, len(tags))
        figure, panels = new_axes(7.0, 1.9 * -(-len(tags) // columns), columns, -(-len(tags) // columns))
        for axes, tag in zip(panels, tags, strict=False):
            for log in logs:
                if tag in log.scalars:
                    axes.plot(log.scalars[tag].steps, log.scalars[tag].values, linewidth=0.9)
            axes.set_title(_LOSSES[tag], fontsize=9)
            label_steps(axes)
            axes.set_xlabel("")
        for axes in panels[len(tags) :]:
            axes.set_visible(False)
        return figure

    ends = "; ".join(
        f"{_LOSSES[tag]} " + ", ".join(f"{log.scalars[tag].values[-1]:.3g}" for log in logs if tag in log.scalars)
        for tag in tags
    )
    return Plot(
        "losses", "Losses and the std of the actions", f"What SB3 logged of the updates; last values: {ends}.", draw
    )
