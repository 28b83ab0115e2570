"""A page about one or several runs: one file that opens from disk, with plots, videos and provenance."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from gymnasium import spaces
from gymnasium.envs.box2d.lunar_lander import LunarLander

from sb3_lander.agents.agent import Agent
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.report import Episode, EvaluationReport
from sb3_lander.evaluation.task import Task, fixed_tasks
from sb3_lander.evaluation.video import Recording, record_extremes
from sb3_lander.report import evaluation_figures, training_figures
from sb3_lander.report.flights import fly, slice_policy
from sb3_lander.report.pages import data_url, render, save_plots
from sb3_lander.report.plot import Plot
from sb3_lander.runs.files import write_text
from sb3_lander.runs.run import Run
from sb3_lander.runs.training_log import TrainingLog, read_log

_DRAWN_FLIGHTS = 50
_DESCENT = {3: -0.3}
"""The moment of the slices: upright and falling at 0.3 in the observation's units, everything else 0."""


@dataclass(frozen=True)
class Section:
    """What a page says about one run.

    :param run: The run.
    :param agent: Its final model.
    :param report: That on fixed tasks.
    :param log: What it wrote down while it trained.
    :param plots: Of the evaluation.
    :param videos: Of the worst, the median and the best episode: the MP4, and what it shows.
    """

    run: Run
    agent: Agent
    report: EvaluationReport
    log: TrainingLog
    plots: list[Plot]
    videos: dict[str, tuple[bytes, Recording]]


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
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} for the page {out.name}")
    sections = [_section(Path(path), episodes, trust, progress) for path in paths]
    logs = [section.log for section in sections]
    curves = [
        training_figures.learning_curve(logs, by="steps"),
        training_figures.learning_curve(logs, by="seconds"),
        training_figures.success(logs),
        training_figures.losses(logs),
    ]
    plots = [plot for plot in curves if plot is not None]
    write_text(out, _page(sections, plots))
    written = [out]
    if figures is not None:
        names = [_name(section) for section in sections]
        # Runs of several folders may have one name.
        groups = names if len(set(names)) == len(names) else [f"{i}_{name}" for i, name in enumerate(names, 1)]
        of_runs = {group: section.plots for group, section in zip(groups, sections, strict=True)}
        written += save_plots({"": plots, **of_runs}, Path(figures))
    return written


def _name(section: Section) -> str:
    return section.run.path.name


def _section(path: Path, episodes: int, trust: bool, progress: bool) -> Section:
    agent = Agent.load(path, trust=trust)
    if agent.run is None or not path.is_dir():
        raise ValueError(f"{path} is one model: a report needs its run folder")
    tasks = fixed_tasks(agent.env_id, episodes, env_kwargs=agent.env_kwargs)
    report = evaluate(agent, tasks, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        recordings = record_extremes(agent, report, 1, Path(folder))
        videos = {name: (recording.path.read_bytes(), recording) for name, recording in recordings.items()}
    plots = [evaluation_figures.returns(report), *_lander_plots(agent, report, tasks)]
    return Section(agent.run, agent, report, read_log(agent.run, started=agent.started), plots, videos)


def _lander_plots(agent: Agent, report: EvaluationReport, tasks: Sequence[Task]) -> list[Plot]:
    with agent.make_env() as env:
        if not isinstance(env.unwrapped, LunarLander):
            return []
        has_slices = isinstance(env.action_space, spaces.Box) and env.observation_space.shape == (8,)
    report_of_flights, flown = fly(agent, tasks[:_DRAWN_FLIGHTS])
    found = [evaluation_figures.flights(report_of_flights, flown), evaluation_figures.touchdowns(report)]
    if has_slices:
        found.append(evaluation_figures.slices(slice_policy(agent, others=_DESCENT), "upright and falling"))
    return [plot for plot in found if plot is not None]


def _page(sections: Sequence[Section], plots: Sequence[Plot]) -> str:
    runs = [
        {
            "name": f"{section.run.algo}/{_name(section)}",
            "seed": section.run.args.get("seed"),
            "step": section.agent.step,
            "report": section.report,
            "lines": str(section.report).splitlines(),
            "plots": section.plots,
            "videos": {
                name: (data_url(video, "video/mp4"), _told(recording.episode))
                for name, (video, recording) in section.videos.items()
            },
            "config": yaml.safe_dump(section.run.config, sort_keys=False),
            "command": _command(section.run),
            "system": _system(section.agent.model),
        }
        for section in sections
    ]
    title = ", ".join(str(run["name"]) for run in runs)
    return render("report.html", title=title, runs=runs, plots=plots)


def _told(episode: Episode) -> str:
    """Say in words what a video shows."""
    outcome = episode.outcome.replace("_", " ")
    return f"task {episode.seed}: {outcome} after {episode.length} steps, return {episode.episode_return:.1f}"


def _command(run: Run) -> str:
    for file in run.path.glob("*/command.txt"):
        return file.read_text().strip()
    return ""


def _system(model: Path | None) -> str:
    """Return what SB3 noted of the system that trained the model."""
    assert model is not None
    with zipfile.ZipFile(model) as archive:
        name = "system_info.txt"
        return archive.read(name).decode() if name in archive.namelist() else ""
