"""Several configurations side by side: what their seeds end at, how fast they get there, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sb3_lander.agents.agent import Agent
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.statistics import iqm, median, probability_of_improvement
from sb3_lander.evaluation.task import fixed_tasks
from sb3_lander.report.pages import MARK, Plot, render, save_plots
from sb3_lander.report.training_figures import TARGET, draw_band, label_steps
from sb3_lander.runs.files import write_text
from sb3_lander.runs.run import Run
from sb3_lander.runs.training_log import Series, read_log


@dataclass(frozen=True)
class Configuration:
    """What is known of one configuration, over its seeds.

    :param name: How it is called.
    :param finals: Each seed's mean return at the end.
    :param episodes: Returns of all seeds' final episodes; the means again where only these are known.
    :param curves: Each seed's return against steps.
    :param solved: By target: each seed's steps and seconds until it was reached, infinite where it was not.
    """

    name: str
    finals: tuple[float, ...]
    episodes: tuple[float, ...]
    curves: tuple[Series, ...]
    solved: Mapping[str, tuple[tuple[float, float], ...]]


def read_configurations(
    path: str | Path, *, episodes: int = 100, trust: bool = False, progress: bool = False
) -> list[Configuration]:
    """Read configurations from a benchmark's JSON, which may hold several, or from run folders of the RL Zoo.

    :param path: The JSON file; or a run folder, or a folder of run folders, which count as one configuration's seeds.
    :param episodes: Fixed tasks to play with each run's final model; a benchmark has played its own.
    :param trust: Unpickle the runs' files, see :meth:`~sb3_lander.agents.agent.Agent.load`.
    :param progress: Show progress bars.
    :raises FileNotFoundError: If there is no such file, or no run in the folder.
    :raises ValueError: If the file is no benchmark's, or a run cannot be played.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give a benchmark's JSON, or run folders of the RL Zoo")
    if path.is_dir():
        return [_of_runs(path, episodes, trust, progress)]
    try:
        results = json.loads(path.read_text())
        found = [_of_benchmark(results, name) for name in results["recipes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what the benchmark writes: {error!r}") from error
    return [one for one in found if one.curves]


def _of_benchmark(results: Mapping[str, Any], name: str) -> Configuration:
    runs = sorted((run for run in results["runs"] if run["recipe"] == name), key=lambda run: int(run["seed"]))
    finals = tuple(float(run["final"]["mean_return"]) for run in runs if run["final"])
    curves = tuple(
        Series(*(np.array([point[key] for point in run["curve"]]) for key in ("steps", "mean_return")))
        for run in runs
        if run["curve"]
    )
    never, solved = {"steps": math.inf, "seconds": math.inf}, {}
    for target in results["recipes"][name]["watch"].get("targets", results["measurement"]["targets"]):
        reached = [run["solved"].get(f"{target:g}", never) for run in runs]
        solved[f"{target:g}"] = tuple((float(at["steps"]), float(at["seconds"])) for at in reached)
    return Configuration(name, finals, finals, curves, solved)


def _of_runs(folder: Path, episodes: int, trust: bool, progress: bool) -> Configuration:
    found = [folder] if any(folder.glob("*/args.yml")) else sorted(p.parent.parent for p in folder.glob("*/*/args.yml"))
    if not found:
        raise FileNotFoundError(f"{folder} is no run of the RL Zoo, and has none in it")
    finals, returns, curves, times = [], [], [], []
    for path in found:
        agent = Agent.load(path, trust=trust)
        report = evaluate(agent, fixed_tasks(agent.env_id, episodes, env_kwargs=agent.env_kwargs), progress=progress)
        finals.append(report.mean_return)
        returns += report.returns.tolist()
        log = read_log(Run.load(path))
        if log.returns is not None and log.seconds is not None:
            curves.append(log.returns)
            reached = zip(log.returns.steps, log.seconds.values, log.returns.values, strict=True)
            solved = ((float(step), float(second)) for step, second, value in reached if value >= TARGET)
            times.append(next(solved, (math.inf, math.inf)))
    name = folder.name if len(found) > 1 else f"{folder.parent.name}/{folder.name}"
    return Configuration(name, tuple(finals), tuple(returns), tuple(curves), {f"{TARGET:g}": tuple(times)})


def compare(
    configurations: Sequence[Configuration], out: str | Path, *, figures: str | Path | None = None
) -> list[Path]:
    """Write a page that compares configurations.

    :param configurations: At least two, with names of their own.
    :param out: The page.
    :param figures: Folder for the plots as SVG and PNG too.
    :return: What was written.
    :raises FileNotFoundError: If the page's folder does not exist.
    :raises ValueError: If there are fewer than two configurations, or two of one name.
    """
    out, names = Path(out), [one.name for one in configurations]
    if len(configurations) < 2 or len(set(names)) < len(names):
        raise ValueError(f"a comparison needs two configurations or more with names of their own, got {names}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} for the page {out.name}")
    targets = sorted({target for one in configurations for target in one.solved}, key=float)
    trained, ended = [one for one in configurations if one.curves], [one for one in configurations if one.finals]
    plots = [*([_curves(trained)] if trained else []), *([_profile(ended)] if len(ended) > 1 else [])]
    rows = [_row(one, targets) for one in configurations]
    compared = [_improvements(one, ended) for one in ended] if len(ended) > 1 else []
    title = ", ".join(names)
    write_text(out, render("compare.html", title=title, targets=targets, rows=rows, improvements=compared, plots=plots))
    return [out, *([] if figures is None else save_plots({"": plots}, Path(figures)))]


def _row(one: Configuration, targets: Sequence[str]) -> list[str]:
    cells = [one.name, str(max(len(one.finals), len(one.curves))), str(iqm(one.finals)) if one.finals else ""]
    for target in targets:
        if not (times := one.solved.get(target)):
            cells += ["", "", ""]
            continue
        steps, seconds = ([time[i] for time in times] for i in (0, 1))
        reached = sum(math.isfinite(step) for step in steps)
        cells += [f"{reached} of {len(times)}", str(median([step / 1e3 for step in steps])), str(median(seconds))]
    return cells


def _improvements(one: Configuration, others: Sequence[Configuration]) -> list[str]:
    found = [None if other is one else probability_of_improvement(one.finals, other.finals) for other in others]
    return [one.name, *("" if p is None else f"{p.value:.2f} [{p.low:.2f}, {p.high:.2f}]" for p in found)]


def _curves(trained: Sequence[Configuration]) -> Plot:
    def draw(axes: Axes) -> None:
        for one in trained:
            draw_band(axes, one.curves, one.name)
        axes.axhline(TARGET, **MARK)
        axes.set(ylabel="return")
        label_steps(axes)
        axes.legend(loc="lower right")

    ends = "; ".join(f"{one.name} {np.mean([curve.values[-1] for curve in one.curves]):.0f}" for one in trained)
    return Plot("learning_curves", "Return against steps", f"Mean over seeds, and their range. Last: {ends}.", draw)


def _profile(configurations: Sequence[Configuration]) -> Plot:
    everything = [value for one in configurations for value in one.episodes]

    def draw(axes: Axes) -> None:
        for one in configurations:
            ordered = np.sort(one.episodes)
            axes.step(ordered, 1.0 - np.arange(ordered.size) / ordered.size, where="pre", label=one.name)
        axes.set(xlabel="return", xlim=(min(everything), max(everything)))
        axes.set(ylabel="share with at least this return", ylim=(0, 1.02))
        axes.legend(loc="lower left")

    shares = "; ".join(f"{one.name} {np.mean(np.array(one.episodes) >= TARGET):.0%}" for one in configurations)
    text = f"Share at or above {TARGET:g}: {shares}."
    return Plot("performance_profile", "Performance profile", text, draw, (7.0, 2.8))
