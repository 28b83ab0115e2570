"""A page about one or several runs: one file that opens from disk, with pictures, videos and provenance."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from gymnasium import spaces
from gymnasium.envs.box2d.lunar_lander import LunarLander

from sb3_lander.evaluation.assessment import Assessed, Assessment
from sb3_lander.report import evaluation_figures, training_figures
from sb3_lander.report.figure import Picture
from sb3_lander.report.flights import fly, slice_policy
from sb3_lander.report.pages import data_url, render, save_pictures
from sb3_lander.runs.files import write_text
from sb3_lander.runs.run import Run
from sb3_lander.runs.training_log import TrainingLog, read_log

__all__ = ["Section", "report"]

_DRAWN_FLIGHTS = 50
_DESCENT = {3: -0.3}
"""The moment of the slices: upright and falling at 0.3 in the observation's units, everything else 0."""


@dataclass(frozen=True)
class Section:
    """What a page says about one run."""

    run: Run
    """The run."""

    assessed: Assessed
    """Its final model on fixed tasks."""

    log: TrainingLog
    """What it wrote down while it trained."""

    pictures: list[Picture]
    """Of the evaluation."""

    videos: dict[str, bytes]
    """MP4s of the worst, the median and the best episode."""


def report(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    episodes: int = 100,
    figures: str | Path | None = None,
    progress: bool = False,
) -> list[Path]:
    """Write a page about runs of one configuration: several seeds of it, or one.

    :param paths: Run folders of the RL Zoo.
    :param out: The page.
    :param episodes: Fixed tasks to play with each run's final model.
    :param figures: Folder for the pictures as PNG and SVG too; made if missing.
    :param progress: Show progress bars.
    :return: What was written.
    :raises FileNotFoundError: If a run or its model, or the page's folder, does not exist.
    :raises ValueError: If a run cannot be played.
    """
    out = Path(out)
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} for the page {out.name}")
    sections = [_section(Path(path), episodes, progress) for path in paths]
    logs = [section.log for section in sections]
    curves = [
        training_figures.learning_curve(logs, by="steps"),
        training_figures.learning_curve(logs, by="seconds"),
        training_figures.success(logs),
        training_figures.losses(logs),
    ]
    pictures = [picture for picture in curves if picture is not None]
    write_text(out, _page(sections, pictures))
    written = [out]
    if figures is not None:
        names = [_name(section) for section in sections]
        # Runs of several folders may have one name.
        groups = names if len(set(names)) == len(names) else [f"{i}_{name}" for i, name in enumerate(names, 1)]
        of_runs = {group: section.pictures for group, section in zip(groups, sections, strict=True)}
        written += save_pictures({"": pictures, **of_runs}, Path(figures))
    return written


def _name(section: Section) -> str:
    return section.run.path.name


def _section(path: Path, episodes: int, progress: bool) -> Section:
    assessment = Assessment(path, episodes=episodes)
    if assessment.run is None:
        raise ValueError(f"{path} is one model: a report needs its run folder")
    with tempfile.TemporaryDirectory() as folder:
        (assessed,) = assessment.play(videos=1, video_folder=folder, progress=progress)
        videos = {name: recording.path.read_bytes() for name, recording in assessed.recordings.items()}
    started = None if assessed.subject.start_time is None else assessed.subject.start_time / 1e9
    pictures = [evaluation_figures.returns(assessed.report), *_lander_pictures(assessment, assessed)]
    return Section(assessment.run, assessed, read_log(assessment.run, started=started), pictures, videos)


def _lander_pictures(assessment: Assessment, assessed: Assessed) -> list[Picture]:
    with assessment.make_env() as env:
        if not isinstance(env.unwrapped, LunarLander):
            return []
        has_slices = isinstance(env.action_space, spaces.Box) and env.observation_space.shape == (8,)
    model, options = assessment.load(assessed.subject)
    report_of_flights, flown = fly(model, assessment.tasks[:_DRAWN_FLIGHTS], **options)
    found = [evaluation_figures.flights(report_of_flights, flown), evaluation_figures.touchdowns(assessed.report)]
    if has_slices:
        policy_slice = slice_policy(model, vec_normalize=options["vec_normalize"], others=_DESCENT)
        found.append(evaluation_figures.slices(policy_slice, "upright and falling"))
    return [picture for picture in found if picture is not None]


def _page(sections: Sequence[Section], pictures: Sequence[Picture]) -> str:
    runs = [
        {
            "name": f"{section.run.algo}/{_name(section)}",
            "seed": section.run.args.get("seed"),
            "step": section.assessed.subject.step,
            "report": section.assessed.report,
            "lines": str(section.assessed.report).splitlines(),
            "pictures": section.pictures,
            "videos": {
                name: (data_url(video, "video/mp4"), _told(section, name)) for name, video in section.videos.items()
            },
            "config": yaml.safe_dump(section.run.config, sort_keys=False),
            "command": _command(section.run),
            "system": _system(section.assessed.subject.model),
        }
        for section in sections
    ]
    title = ", ".join(str(run["name"]) for run in runs)
    return render("report.html", title=title, runs=runs, pictures=pictures)


def _told(section: Section, name: str) -> str:
    """Say in words what a video shows."""
    episode = section.assessed.recordings[name].episode
    outcome = episode.outcome.replace("_", " ")
    return f"task {episode.seed}: {outcome} after {episode.length} steps, return {episode.episode_return:.1f}"


def _command(run: Run) -> str:
    for file in run.path.glob("*/command.txt"):
        return file.read_text().strip()
    return ""


def _system(model: Path) -> str:
    """Return what SB3 noted of the system that trained the model."""
    with zipfile.ZipFile(model) as archive:
        name = "system_info.txt"
        return archive.read(name).decode() if name in archive.namelist() else ""
