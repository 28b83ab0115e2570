"""A page about one or several runs: one file that opens from disk, with plots, videos and provenance."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from gymnasium.envs.box2d.lunar_lander import LunarLander

from sb3_lander.agents.agent import Agent
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.task import Task, fixed_tasks
from sb3_lander.evaluation.video import record_extremes
from sb3_lander.report import evaluation_figures
from sb3_lander.report.flights import fly, slice_policy
from sb3_lander.report.pages import Plot, render, save_plots
from sb3_lander.report.training_figures import learning_curve, losses, success
from sb3_lander.runs.files import write_text
from sb3_lander.runs.training_log import read_log

_DRAWN_FLIGHTS = 50
_DESCENT = {3: -0.3}
"""The moment of the slices: upright and falling at 0.3 in the observation's units, everything else 0."""


def report(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    episodes: int = 100,
    figures: str | Path | None = None,
    trust: bool = False,
    progress: bool = False,
) -> list[Path]:
    """Write a page about runs of one configuration: several seeds of it, or one.

    :param paths: Run folders of the RL Zoo.
    :param out: The page.
    :param episodes: Fixed tasks to play with each run's final model.
    :param figures: Folder for the plots as PNG and SVG too; made if missing.
    :param trust: Unpickle the runs' files, see :meth:`~sb3_lander.agents.agent.Agent.load`.
    :param progress: Show progress bars.
    :return: What was written.
    :raises FileNotFoundError: If a run or its model, or the page's folder, does not exist.
    :raises ValueError: If a run cannot be played.
    """
    out = Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} for the page {out.name}")
    runs = [_about(Path(path), episodes, trust, progress) for path in paths]
    logs = [run["log"] for run in runs]
    curves = [learning_curve(logs, by="steps"), learning_curve(logs, by="seconds"), success(logs), losses(logs)]
    plots = [plot for plot in curves if plot is not None]
    write_text(out, render("report.html", title=", ".join(run["log"].name for run in runs), runs=runs, plots=plots))
    if figures is None:
        return [out]
    # Runs of several folders may have one name.
    numbered = len({run["folder"] for run in runs}) < len(runs)
    groups = {f"{i}_{run['folder']}" if numbered else run["folder"]: run["plots"] for i, run in enumerate(runs, 1)}
    return [out, *save_plots({"": plots, **groups}, Path(figures))]


def _about(path: Path, episodes: int, trust: bool, progress: bool) -> dict[str, Any]:
    """Return what the template says about one run."""
    agent = Agent.load(path, trust=trust)
    run, model = agent.run, agent.model
    if run is None or model is None or not path.is_dir():
        raise ValueError(f"{path} is one model: a report needs its run folder")
    tasks = fixed_tasks(agent.env_id, episodes, env_kwargs=agent.env_kwargs)
    report = evaluate(agent, tasks, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        recordings = record_extremes(agent, report, 1, Path(folder))
        videos = {name: (one.path.read_bytes(), one.episode) for name, one in recordings.items()}
    system = zipfile.Path(model, "system_info.txt")
    return {
        "folder": path.name,
        "log": read_log(run, started=agent.started),
        "seed": run.args.get("seed"),
        "step": agent.step,
        "report": report,
        "plots": [evaluation_figures.returns(report), *_lander_plots(agent, report, tasks)],
        "videos": videos,
        "config": yaml.safe_dump(run.config, sort_keys=False),
        "command": next((file.read_text().strip() for file in path.glob("*/command.txt")), ""),
        "system": system.read_text("utf-8") if system.exists() else "",
    }


def _lander_plots(agent: Agent, report: EvaluationReport, tasks: Sequence[Task]) -> list[Plot]:
    with agent.make_env() as env:
        if not isinstance(env.unwrapped, LunarLander):
            return []
        has_slices = env.observation_space.shape == (8,)
    found = [evaluation_figures.flights(*fly(agent, tasks[:_DRAWN_FLIGHTS])), evaluation_figures.touchdowns(report)]
    if has_slices:
        found.append(evaluation_figures.slices(slice_policy(agent, others=_DESCENT), "upright and falling"))
    return [plot for plot in found if plot is not None]
