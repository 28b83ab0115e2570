"""A study for people: its trials as text, and Optuna's own pictures of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from sb3_lander.tuning.search import Search
from sb3_lander.tuning.study import counts, quiet

_SHOWN = 10  # trials in the table
_PICTURES = ("optimization_history", "param_importances", "slice")


def table(study: optuna.Study, search: Search) -> str:
    """Return what the study searches, how far it is, and its best trials."""
    trials = study.get_trials(deepcopy=False)
    budget = f"{search.budget:,} steps" if search.budget else "the entry's steps"
    lines = [
        f"study {study.study_name}: {search.algo} on {search.env_id}, {search.objective}",
        f"{search.seeds} seeds a trial, {budget} each",
        f"{len(trials)} trials: {counts(study)}",
    ]
    for trial in search.ranked(study)[:_SHOWN]:
        parameters = " ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
        lines.append(f"{trial.value or 0.0:9.2f}  trial {trial.number:<4} {parameters}")
    faults = [trial for trial in trials if "fault" in trial.user_attrs]
    if faults:
        fault = faults[-1].user_attrs["fault"]
        lines.append(f"{len(faults)} trials did not work, as trial {faults[-1].number}: {fault}")
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _make_room(figure: Figure) -> None:
    """Keep the labels of many small panels side by side out of each other's way."""
    for panel in figure.axes:
        panel.tick_params(axis="x", which="both", labelrotation=60)
        panel.set_xlabel(panel.get_xlabel().replace(".", ".\n"))


def draw(study: optuna.Study, folder: Path) -> Iterator[Path]:
    """Draw the history, the importances and the slices, and yield each file.

    PNG always; HTML that reacts to the mouse where plotly is installed. Importances need two different complete
    trials, and are left out before that.

    :raises ValueError: If no trial is complete.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise ValueError(f"study {study.study_name!r} has no complete trial to draw")
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with quiet():
        for name in _PICTURES:
            if name == "param_importances" and len({t.value for t in complete}) < 2:
                continue
            axes = getattr(optuna.visualization.matplotlib, f"plot_{name}")(study)
            figure = (axes if hasattr(axes, "figure") else axes.flat[0]).figure
            if name == "slice":
                _make_room(figure)
            figure.savefig(folder / f"{name}.png", dpi=130, bbox_inches="tight")
            plt.close(figure)
            yield folder / f"{name}.png"
            if importlib.util.find_spec("plotly") is not None:
                drawn = getattr(optuna.visualization, f"plot_{name}")(study)
                drawn.write_html(folder / f"{name}.html", include_plotlyjs=True)
                yield folder / f"{name}.html"
