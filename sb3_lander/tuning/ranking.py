"""The best trials of a study, judged again on fresh seeds: the best of many is partly the luckiest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import optuna
import yaml

from sb3_lander.benchmark import runner as benchmark
from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.evaluation.statistics import Interval, iqm, mean, median
from sb3_lander.tuning.search import Search

__all__ = ["Candidate", "candidates", "rerun", "winner_yaml"]

BASE = "entry"
"""How the entry around which was searched is called among the candidates."""

_FIRST_TASK = 2_000_000
"""First seed of the tasks of the second look: neither a search's nor a benchmark's."""


@dataclass(frozen=True)
class Candidate:
    """One recipe on its second look."""

    recipe: Recipe
    """The entry with the trial's changes."""

    trial: optuna.trial.FrozenTrial | None
    """The trial; None for the entry around which was searched."""

    scores: tuple[float, ...]
    """The objective, for each fresh seed."""

    figure: Interval
    """The interquartile mean of the returns over seeds, or the median of the seconds."""

    success_rate: Interval | None
    """The share of tasks solved, where returns were measured."""


def candidates(study: optuna.Study, search: Search, count: int) -> list[tuple[Recipe, optuna.trial.FrozenTrial | None]]:
    """Return the recipes of the best trials with different parameters, best first, and then the entry itself.

    :raises ValueError: If no trial is complete, or ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"candidates={count} must be at least 1")
    ranked = search.ranked(study)
    if not ranked:
        raise ValueError(f"study {study.study_name!r} has no complete trial yet")
    best: dict[str, optuna.trial.FrozenTrial] = {}
    for trial in ranked:
        best.setdefault(repr(sorted(trial.params.items())), trial)
    space = search.search_space()
    found: list[tuple[Recipe, optuna.trial.FrozenTrial | None]] = []
    for trial in list(best.values())[:count]:
        changes = space.suggest(optuna.trial.FixedTrial(trial.params, number=trial.number))
        found.append((search.recipe(f"trial {trial.number}", changes), trial))
    return [*found, (search.recipe(BASE, {}), None)]


def rerun(
    study: optuna.Study, search: Search, count: int, seeds: Sequence[int], out: Path, executor: Executor | None = None
) -> list[Candidate]:
    """Train the best trials and the entry on fresh seeds, and return them, best first.

    :param study: The study.
    :param search: What it searches.
    :param count: How many trials.
    :param seeds: Training seeds that no trial had.
    :param out: JSON file of the trainings; an unfinished one is continued.
    :param executor: As :func:`sb3_lander.benchmark.run`.
    :raises ValueError: If there is no complete trial.
    """
    chosen = candidates(study, search, count)
    # Whatever the search looked at to be quick, this decides.
    measurement = replace(search.measurement(), evaluate_on="gymnasium")
    if measurement.final_episodes:
        measurement = replace(measurement, final_episodes=1000, final_first_seed=_FIRST_TASK)
    results = benchmark.run([recipe for recipe, _ in chosen], seeds, measurement, out, executor=executor)
    found = []
    for recipe, trial in chosen:
        trainings = [run for run in results["runs"] if run["recipe"] == recipe.name and run["seed"] in seeds]
        scores = [search.score(training) for training in trainings]
        finals = [training["final"] for training in trainings if training["final"]]
        rate = mean([final["success_rate"] for final in finals]) if finals else None
        figure = iqm(scores) if search.objective == "return" else median(scores)
        found.append(Candidate(recipe, trial, tuple(scores), figure, rate))
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
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "fail") if state in states)
    statistic = (
        "interquartile mean of the return" if search.objective == "return" else f"median seconds to {search.target:g}"
    )
    where = "" if search.evaluate_on == "gymnasium" else f" on {search.evaluate_on}"
    origin = "the entry that the search started from" if winner.trial is None else f"trial {winner.trial.number}"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    made = f"{datetime.now(timezone.utc):%Y-%m-%d} by `python -m sb3_lander tune top`"
    lines = [
        f"{search.algo} for {search.env_id}, in the RL Zoo's format.",
        "",
        f"Provenance: {origin} of study {study.study_name!r} ({counts} trials, {search.seeds} seeds each,",
        f"objective {search.objective}{where}). Judged on the fresh seeds {min(seeds)} to {max(seeds)}:",
        f"{statistic} {winner.figure} (95% interval over seeds).",
        f"Made {made} with python {machine['python']}, {versions}.",
    ]
    entry = yaml.safe_dump({search.env_id: winner.recipe.entry(search.env_id)}, sort_keys=False)
    return "\n".join(f"# {line}".rstrip() for line in lines) + "\n\n" + entry
