"""Trains many seeds of one or several recipes, alternating, and writes what it measured as JSON."""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.evaluation.statistics import Interval, iqm, mean, median, ratio_of_medians
from sb3_lander.parallel import ProcessExecutor
from sb3_lander.parallel import run as run_items
from sb3_lander.runs.files import write_text
from sb3_lander.runs.provenance import system_info


def load_recipes(specifications: Sequence[str]) -> list[Recipe]:
    """Make recipes from the command line.

    :param specifications: Each one a name that ``config`` knows (``ppo``, ``allenact``), ``zoo`` for the Zoo's own
        entry, or the path of a YAML file that maps names to the fields of :class:`Recipe`.
    :raises ValueError: If a file does not hold such a mapping, or a name occurs twice.
    """
    recipes: list[Recipe] = []
    for specification in specifications:
        if not specification.endswith((".yml", ".yaml")):
            recipes.append(Recipe(specification, config=specification))
            continue
        loaded = yaml.safe_load(Path(specification).read_text())
        valid = {f.name for f in fields(Recipe)} - {"name"}
        if not isinstance(loaded, dict) or not all(isinstance(v, dict) and set(v) <= valid for v in loaded.values()):
            raise ValueError(f"{specification} must map each recipe's name to a mapping, keys among {sorted(valid)}")
        recipes += [Recipe(name, **values) for name, values in loaded.items()]
    names = [recipe.name for recipe in recipes]
    if len(set(names)) != len(names):
        raise ValueError(f"every recipe needs a name of its own, got {', '.join(names)}")
    return recipes


def run(
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    measurement: Measurement,
    out: Path,
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train every recipe with every seed, and write the results to ``out`` after each training.

    The recipes alternate (every recipe's first seed, then every recipe's second one, ...), so that a machine whose
    speed drifts slows all of them alike. Each training has a process of its own. What ``out`` already holds is not
    trained again: an interrupted benchmark goes on where it stopped.

    :param recipes: What to compare.
    :param seeds: Seeds of the trainings; use seeds that no tuning has seen.
    :param measurement: How every training is watched.
    :param out: JSON file; written beside and renamed, so it is whole at any moment.
    :param jobs: Trainings side by side on this machine, whose cores they share out.
    :param executor: What trains instead, such as a :class:`~sb3_lander.parallel.ClusterExecutor`. Seconds are
        comparable only between machines that are alike.
    :param progress: Show a progress bar.
    :return: What ``out`` holds in the end; ``jobs`` is the largest number side by side.
    :raises ValueError: If a recipe cannot be trained or watched so, or ``out`` holds results of other recipes under
        the same names, or of another measurement.
    :raises ChildProcessError: If a training's process was killed again and again.
    """
    # Imported here, since it loads the Zoo, which whoever only reads results need not wait for.
    from sb3_lander.benchmark.training import train

    results = _results(recipes, measurement, out)
    done = {(r["recipe"], r["seed"]) for r in results["runs"]}
    todo = [(r, seed, measurement) for seed in seeds for r in recipes if (r.name, seed) not in done]
    out.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        executor = executor or stack.enter_context(ProcessExecutor(jobs))
        bar = stack.enter_context(tqdm(total=len(todo), unit="training", disable=not progress))
        for _, future in run_items(executor, train, todo):
            result = future.result()
            results["runs"].append(result)
            results["jobs"] = max(getattr(executor, "workers", jobs), results.get("jobs", 1))
            write_text(out, json.dumps(results, indent=1) + "\n")
            bar.set_postfix_str(f"{result['recipe']} seed {result['seed']}: {result['seconds']:.0f} s")
            bar.update()
    return results


def _results(recipes: Sequence[Recipe], measurement: Measurement, out: Path) -> dict[str, Any]:
    """Return what ``out`` holds, or results without runs: the recipes, how they are watched, what will train them."""
    described = {
        recipe.name: {**asdict(recipe), "entry": recipe.entry(measurement.for_recipe(recipe).env_id)}
        for recipe in recipes
    }
    made: dict[str, Any] = {
        # Without folders, which say nothing about the figures and much about somebody's machine.
        "command": " ".join(Path(word).name if os.sep in word else word for word in sys.orig_argv),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": system_info(),
        "measurement": asdict(measurement),
        "recipes": described,
        "runs": [],
    }
    new: dict[str, Any] = json.loads(json.dumps(made))
    if not out.exists():
        return new
    results: dict[str, Any] = json.loads(out.read_text())
    if results["measurement"] != new["measurement"]:
        raise ValueError(f"{out} holds results measured otherwise ({results['measurement']}): choose another file")
    for name, description in new["recipes"].items():
        if results["recipes"].setdefault(name, description) != description:
            raise ValueError(f"{out} holds results of another recipe named {name!r}: choose another file")
    return results


def _commit() -> str | None:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def runs_of(results: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a recipe's trainings in the order of their seeds."""
    return sorted((r for r in results["runs"] if r["recipe"] == name), key=lambda r: r["seed"])


def to_target(runs: Sequence[Mapping[str, Any]], target: str, what: str) -> list[float]:
    """Return each training's ``steps`` or ``seconds`` to a target; infinity where it never got there."""
    return [run["solved"].get(target, {}).get(what, math.inf) for run in runs]


def summary(results: Mapping[str, Any], baseline: str | None = None) -> dict[str, dict[str, Any]]:
    """Return each recipe's figures over its seeds, every one with a 95% bootstrap interval.

    :param results: What :func:`run` returned or wrote.
    :param baseline: Name of the recipe whose median time to each target is divided by the others'.
    :return: Per recipe: ``seeds``, ``solved`` (per target the number of seeds), ``steps`` and ``seconds`` (per target
        the median), ``worst_seconds``, ``speedup`` (per target, with a baseline), ``steps_per_second`` and
        ``steps_per_second_with_evaluations`` (the Zoo's own), and, where final reports were made, ``final_iqm``,
        ``final_mean`` and ``length`` (interquartile means over seeds), ``success_rate`` (the mean over seeds),
        ``finished_seconds`` (the median of the whole trainings), and the worst seed's ``worst_final`` and
        ``worst_success``.
    """
    targets = [f"{target:g}" for target in results["measurement"]["targets"]]
    table: dict[str, dict[str, Any]] = {}
    for name in results["recipes"]:
        runs = runs_of(results, name)
        if not runs:
            continue
        seconds = {t: to_target(runs, t, "seconds") for t in targets}
        row: dict[str, Any] = {"seeds": len(runs)}
        row["solved"] = {t: sum(t in run["solved"] for run in runs) for t in targets}
        row["steps"] = {t: median(to_target(runs, t, "steps")) for t in targets}
        row["seconds"] = {t: median(seconds[t]) for t in targets}
        row["worst_seconds"] = {t: max(seconds[t]) for t in targets}
        if baseline is not None:
            others = runs_of(results, baseline)
            row["speedup"] = {t: ratio_of_medians(to_target(others, t, "seconds"), seconds[t]) for t in targets}
        for figure in ("steps_per_second", "steps_per_second_with_evaluations"):
            row[figure] = median([run[figure] for run in runs])
        finals = [run["final"] for run in runs if run["final"]]
        if finals:
            returns, rates = ([final[figure] for final in finals] for figure in ("mean_return", "success_rate"))
            row["finished_seconds"] = median([run["seconds"] for run in runs])
            row["worst_final"], row["worst_success"] = min(returns), min(rates)
            row["final_iqm"] = iqm([final["iqm_return"] for final in finals])
            row["final_mean"], row["success_rate"] = iqm(returns), mean(rates)
            row["length"] = iqm([final["mean_length"] for final in finals])
        table[name] = row
    return table


def table(results: Mapping[str, Any], baseline: str | None = None) -> str:
    """Return :func:`summary` as a Markdown table."""
    targets = [f"{target:g}" for target in results["measurement"]["targets"]]
    head = ["recipe", "seeds"]
    for t in targets:
        head += [f"solved {t}", f"steps to {t} (thousands)", f"seconds to {t}", "worst"]
        head += [f"times faster to {t}"] if baseline else []
    head += ["steps/s", "finished in s", "final return", "worst", "success %", "worst", "length"]
    lines = []
    for name, row in summary(results, baseline).items():
        cells = [name, str(row["seeds"])]
        for t in targets:
            cells += solving_cells(row, t)
            cells += [str(row["speedup"][t])] if baseline else []
        cells += [f"{row['steps_per_second'].value:,.0f}"]
        if "final_iqm" in row:
            cells += [f"{row['finished_seconds'].value:.1f}", str(row["final_iqm"]), f"{row['worst_final']:.1f}"]
            cells += [
                f"{100 * row['success_rate'].value:.2f}",
                f"{100 * row['worst_success']:.1f}",
                f"{row['length'].value:.0f}",
            ]
        else:
            cells += [""] * 6
        lines.append(cells)
    return markdown(head, lines)


def thousands(steps: Interval) -> str:
    """Return an interval of steps in thousands."""
    return str(Interval(steps.value / 1e3, steps.low / 1e3, steps.high / 1e3))


def solving_cells(row: Mapping[str, Any], target: str) -> list[str]:
    """Return one recipe's way to a target for a table: seeds, thousands of steps, seconds, and the worst seed's."""
    worst, reached = row["worst_seconds"][target], f"{row['solved'][target]}/{row['seeds']}"
    slowest = f"{worst:.1f}" if math.isfinite(worst) else "never"
    return [reached, thousands(row["steps"][target]), str(row["seconds"][target]), slowest]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
