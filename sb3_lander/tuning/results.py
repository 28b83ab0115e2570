"""A study's results for people: tables, Optuna's own pictures, and its best trials judged again on fresh seeds."""

import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from sb3_lander.benchmark import runner as benchmark
from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.evaluation.statistics import Interval, iqm, mean, median
from sb3_lander.runs.provenance import system_info
from sb3_lander.tuning.search import Search
from sb3_lander.tuning.study import counts, quiet

_SHOWN = 10  # trials in the table
_PICTURES = ("optimization_history", "param_importances", "slice")
_BASE = "entry"  # how the entry around which was searched is called among the candidates
_FIRST_TASK = 2_000_000  # first seed of the second look's tasks: neither a search's nor a benchmark's


class Candidate(NamedTuple):
    """One recipe on its second look.

    :param recipe: The entry with the trial's changes.
    :param trial: The trial; None for the entry around which was searched.
    :param figure: The interquartile mean of the returns over fresh seeds, or the median of the seconds.
    :param success_rate: The share of tasks solved, where returns were measured.
    """

    recipe: Recipe
    trial: FrozenTrial | None
    figure: Interval
    success_rate: Interval | None


def _recipes(study: optuna.Study, search: Search, count: int) -> list[tuple[Recipe, FrozenTrial | None]]:
    """Return the recipes of the best trials with different parameters, best first, and then the entry itself."""
    if count < 1:
        raise ValueError(f"candidates={count} must be at least 1")
    best: dict[str, FrozenTrial] = {}
    for trial in search.ranked(study):
        best.setdefault(repr(sorted(trial.params.items())), trial)
    if not best:
        raise ValueError(f"study {study.study_name!r} has no complete trial yet")
    space = search.search_space()
    found: list[tuple[Recipe, FrozenTrial | None]] = []
    for trial in list(best.values())[:count]:
        changes = space.suggest(optuna.trial.FixedTrial(trial.params, number=trial.number))
        found.append((search.recipe(f"trial {trial.number}", changes), trial))
    return [*found, (search.recipe(_BASE, {}), None)]


def rerun(
    study: optuna.Study, search: Search, count: int, seeds: Sequence[int], out: Path, executor: Executor | None = None
) -> list[Candidate]:
    """Train the best trials and the entry on fresh seeds, and return them, best first.

    :param study: The study.
    :param search: What it searches.
    :param count: How many trials, with different parameters.
    :param seeds: Training seeds that no trial had.
    :param out: JSON file of the trainings; an unfinished one is continued.
    :param executor: As :func:`sb3_lander.benchmark.run`.
    :raises ValueError: If there is no complete trial, or ``count`` is below 1.
    """
    chosen = _recipes(study, search, count)
    # Whatever the search looked at to be quick, this decides.
    measurement = replace(search.measurement(), evaluate_on="gymnasium")
    if measurement.final_episodes:
        measurement = replace(measurement, final_episodes=1000, final_first_seed=_FIRST_TASK)
    results = benchmark.run([recipe for recipe, _ in chosen], seeds, measurement, out, executor=executor)
    found = []
    for recipe, trial in chosen:
        trainings = [run for run in benchmark.runs_of(results, recipe.name) if run["seed"] in seeds]
        finals = [training["final"] for training in trainings if training["final"]]
        figure = (iqm if search.objective == "return" else median)([search.score(training) for training in trainings])
        rate = mean([final["success_rate"] for final in finals]) if finals else None
        found.append(Candidate(recipe, trial, figure, rate))
    return sorted(found, key=lambda c: c.figure.value, reverse=search.is_maximized)


def table(found: Sequence[Candidate], search: Search) -> str:
    """Return the candidates as lines of text."""
    unit = "return" if search.objective == "return" else f"seconds to {search.target:g}"
    lines = [f"{'recipe':12} {unit:>26} {'in the study':>13} {'success':>8}"]
    for one in found:
        value = "" if one.trial is None or one.trial.value is None else f"{one.trial.value:.2f}"
        rate = "" if one.success_rate is None else f"{100 * one.success_rate.value:.1f}%"
        lines.append(f"{one.recipe.name:12} {one.figure!s:>26} {value:>13} {rate:>8}")
    return "\n".join(lines)


def winner_yaml(winner: Candidate, study: optuna.Study, search: Search, seeds: Sequence[int]) -> str:
    """Return the winner as a hyperparameter file that ``--conf-file`` takes, with where it comes from."""
    solving = f"median seconds to {search.target:g}"
    statistic = "interquartile mean of the return" if search.objective == "return" else solving
    where = "" if search.evaluate_on == "gymnasium" else f" on {search.evaluate_on}"
    origin = "the entry that the search started from" if winner.trial is None else f"trial {winner.trial.number}"
    made_with = system_info()
    versions = ", ".join(f"{name} {version}" for name, version in made_with["versions"].items() if version)
    made = f"{datetime.now(timezone.utc):%Y-%m-%d} by `python -m sb3_lander tune top`"
    entry = yaml.safe_dump({search.env_id: winner.recipe.entry(search.env_id)}, sort_keys=False)
    return f"""# {search.algo} for {search.env_id}, in the RL Zoo's format.
#
# Provenance: {origin} of study {study.study_name!r} ({counts(study)} trials, {search.seeds} seeds each,
# objective {search.objective}{where}). Judged on the fresh seeds {min(seeds)} to {max(seeds)}:
# {statistic} {winner.figure} (95% interval over seeds).
# Made {made} with python {made_with["python"]}, {versions}.

{entry}"""


def overview(study: optuna.Study, search: Search) -> str:
    """Return what the study searches, how far it is, and its best trials."""
    trials = study.get_trials(deepcopy=False)
    budget = f"{search.budget:,} steps" if search.budget else "the entry's steps"
    lines = [
        f"study {study.study_name}: {search.algo} on {search.env_id}, {search.objective}",
        f"{search.seeds} seeds a trial, {budget} each",
        f"{len(trials)} trials: {counts(study)}",
    ]
    for trial in search.ranked(study)[:_SHOWN]:
        pairs = [f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in trial.params.items()]
        lines.append(f"{trial.value or 0.0:9.2f}  trial {trial.number:<4} {' '.join(pairs)}")
    faults = [trial for trial in trials if "fault" in trial.user_attrs]
    if faults:
        fault = faults[-1].user_attrs["fault"]
        lines.append(f"{len(faults)} trials did not work, as trial {faults[-1].number}: {fault}")
    return "\n".join(lines)


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
            for panel in figure.axes if name == "slice" else ():  # many small ones side by side: labels need room
                panel.tick_params(axis="x", which="both", labelrotation=60)
                panel.set_xlabel(panel.get_xlabel().replace(".", ".\n"))
            figure.savefig(folder / f"{name}.png", dpi=130, bbox_inches="tight")
            plt.close(figure)
            yield folder / f"{name}.png"
            if importlib.util.find_spec("plotly") is not None:
                drawn = getattr(optuna.visualization, f"plot_{name}")(study)
                drawn.write_html(folder / f"{name}.html", include_plotlyjs=True)
                yield folder / f"{name}.html"
