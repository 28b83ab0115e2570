"""Plots of an evaluation: returns, flights, touchdowns, and what the policy does where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from sb3_lander.evaluation.outcome import OUTCOMES
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.report.flights import Flight, Slice
from sb3_lander.report.pages import MARK, Plot

OUTCOME_COLOURS = dict(zip(OUTCOMES, ("#2a7fb8", "#8cc4e8", "#d1495b", "#8d6a9f", "#e0a030", "#888888"), strict=True))
"""One colour for each outcome, in every plot; told apart by colour-blind readers too, blue against red."""


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _counts(report: EvaluationReport) -> str:
    return ", ".join(f"{count} {_words(outcome)}" for outcome, count in report.outcomes.items())


def returns(report: EvaluationReport) -> Plot:
    """Show how the returns of an evaluation are distributed, by outcome."""

    def draw(axes: Axes) -> None:
        present = list(report.outcomes)
        groups = [[e.episode_return for e in report.episodes if e.outcome == outcome] for outcome in present]
        colours = [OUTCOME_COLOURS[outcome] for outcome in present]
        axes.hist(groups, bins=40, stacked=True, color=colours, label=[_words(o) for o in present])
        axes.axvline(report.success_threshold, **MARK)
        axes.set(xlabel="return", ylabel="episodes")
        axes.legend(loc="upper left")

    text = f"Returns of {len(report.episodes)} fixed tasks: mean {report.mean_return:.1f}, "
    text += f"from {report.returns.min():.1f} to {report.returns.max():.1f}; {_counts(report)}."
    return Plot("evaluation_returns", "Returns of the evaluation", text, draw, (7.0, 2.8))


def flights(report: EvaluationReport, flown: Sequence[Flight]) -> Plot:
    """Show the paths of a report's flights over the ground, coloured by outcome."""

    def draw(axes: Axes) -> None:
        for flight in flown:
            axes.plot(*flight.ground.T, color="grey", linewidth=0.5, alpha=0.25, zorder=1)
            axes.plot(*flight.path.T, color=OUTCOME_COLOURS[flight.episode.outcome], linewidth=0.8, alpha=0.7)
        axes.plot([-2.0, 2.0], [0.0, 0.0], color=mpl.rcParams["text.color"], linewidth=2.5, solid_capstyle="butt")
        for outcome in report.outcomes:
            axes.plot([], [], color=OUTCOME_COLOURS[outcome], label=_words(outcome))
        axes.legend(loc="upper right")
        axes.set(xlabel="metres from the pad's centre", ylabel="metres above the pad", xlim=(-10, 10), ylim=(-4, 10.5))
        axes.set_aspect("equal")

    widest = max(float(np.abs(flight.path[:, 0]).max()) for flight in flown)
    text = f"Paths of {len(flown)} flights from the top of the screen to the ground: {_counts(report)}. "
    text += f"The widest strays {widest:.1f} m from the pad's centre."
    return Plot("flights", f"{len(flown)} flights over their terrains", text, draw, (7.0, 4.4))


def touchdowns(report: EvaluationReport) -> Plot | None:
    """Show where the legs first touched and how fast, by outcome; None if none did."""
    touched = [e for e in report.episodes if e.touchdown_speed is not None]
    if not touched:
        return None
    where, speeds = (np.array([getattr(e, f"touchdown_{name}") for e in touched]) for name in ("distance", "speed"))
    outcomes = np.array([e.outcome for e in touched])

    def draw(axes: Axes) -> None:
        for outcome, colour in OUTCOME_COLOURS.items():
            if (own := outcomes == outcome).any():
                label = _words(outcome)
                axes.scatter(where[own], speeds[own], s=9, color=colour, label=label, alpha=0.7, linewidth=0)
        axes.axvline(2.0, **MARK)
        axes.set(xlabel="metres from the pad's centre at first contact", xlim=(0, None))
        axes.set(ylabel="speed, m/s", ylim=(0, None))
        axes.legend(loc="lower right")

    text = f"First contact of {len(touched)} episodes: median {np.median(where):.2f} m from the pad's centre "
    text += f"at {np.median(speeds):.2f} m/s. The pad ends at 2 m."
    return Plot("touchdowns", "Where it touched down, and how fast", text, draw, (7.0, 3.0))


def slices(found: Slice, moment: str) -> Plot:
    """Show the engines' commands and the critic's value over position."""
    panels: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("main engine", found.main, {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}),
        ("side engines", found.side, {"cmap": "PuOr", "vmin": -1, "vmax": 1}),
    ]
    if found.value is not None:
        panels.append(("value", found.value, {"cmap": "viridis"}))

    def draw(*axes: Axes) -> None:
        for one, (title, values, options) in zip(axes, panels, strict=True):
            mesh = one.pcolormesh(found.x, found.y, values, shading="nearest", rasterized=True, **options)
            one.figure.colorbar(mesh, ax=one, shrink=0.8)
            one.set_title(title, fontsize=9)
            one.set(xlabel="x")
        axes[0].set_ylabel("y")

    # Without the middle column, which is its own mirror image: a half-plane's policy may steer there as it likes.
    half = found.x.size // 2
    main, side = found.main - found.main[:, ::-1], found.side + found.side[:, ::-1]
    unlike = float(max(np.abs(main[:, :half]).max(), np.abs(side[:, :half]).max()))
    text = (
        f"Commands of the engines over position, {moment}. The main engine fires on {(found.main > 0).mean():.0%} of "
    )
    text += f"the screen, a side engine on {(np.abs(found.side) > 0.5).mean():.0%}. Left and right "
    text += "are exact mirror images." if unlike < 1e-5 else f"differ by up to {unlike:.2f}."
    size, title = (2.6 * len(panels), 2.5), f"What the policy does where, {moment}"
    return Plot("slices", title, text, draw, size, (1, len(panels)))
