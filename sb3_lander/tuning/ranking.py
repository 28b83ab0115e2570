"""The best trials of a study, judged again on fresh seeds: the best of many is partly the luckiest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import yaml

from sb3_lander.benchmark import runner as benchmark
from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.evaluation.statistics import Interval, iqm, mean, median
from sb3_lander.tuning.search import Search
from sb3_lander.tuning.study import counts

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
    trial: optuna.trial.FrozenTrial | None
    figure: Interval
    success_rate: Interval | None


def _recipes(study: optuna.Study, search: Search, count: int) -> list[tuple[Recipe, optuna.trial.FrozenTrial | None]]:
    """Return the recipes of the best trials with different parameters, best first, and then the entry itself."""
    if count < 1:
        raise ValueError(f"candidates={count} must be at least 1")
    best: dict[str, optuna.trial.FrozenTrial] = {}
    for trial in search.ranked(study):
        best.setdefault(repr(sorted(trial.params.items())), trial)
    if not best:
        raise ValueError(f"study {study.study_name!r} has no complete trial yet")
    space = search.search_space()
    found: list[tuple[Recipe, optuna.trial.FrozenTrial | None]] = []
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


def winner_yaml(
    winner: Candidate, study: optuna.Study, search: Search, seeds: Sequence[int], machine: Mapping[str, Any]
) -> str:
    """Return the winner as a hyperparameter file that ``--conf-file`` takes, with where it comes from."""
    solving = f"median seconds to {search.target:g}"
    statistic = "interquartile mean of the return" if search.objective == "return" else solving
    where = "" if search.evaluate_on == "gymnasium" else f" on {search.evaluate_on}"
    origin = "the entry that the search started from" if winner.trial is None else f"trial {winner.trial.number}"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    made = f"{datetime.now(timezone.utc):%Y-%m-%d} by `python -m sb3_lander tune top`"
    entry = yaml.safe_dump({search.env_id: winner.recipe.entry(search.env_id)}, sort_keys=False)
    return f"""# {search.algo} for {search.env_id}, in the RL Zoo's format.
#
# Provenance: {origin} of study {study.study_name!r} ({counts(study)} trials, {search.seeds} seeds each,
# objective {search.objective}{where}). Judged on the fresh seeds {min(seeds)} to {max(seeds)}:
# {statistic} {winner.figure} (95% interval over seeds).
# Made {made} with python {machine["python"]}, {versions}.

{entry}"""
