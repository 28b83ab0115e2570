"""What a run of the RL Zoo wrote down while it trained: returns against steps and seconds, evaluations, losses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import LoadMonitorResultsError, load_results

from sb3_lander.runs.run import Run


@dataclass(frozen=True)
class Series:
    """A figure that changes over a training.

    :param steps: Environment steps, increasing, shape ``(n,)``.
    :param values: The figure, shape ``(n,)``.
    """

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class TrainingLog:
    """One training.

    :param name: How the run is called.
    :param returns: Returns of the training's episodes, each at the step of its end, averaged over a hundredth of the
        training.
    :param success: The share of these episodes whose return is 200 or more.
    :param seconds: Seconds since the start, at the steps of :attr:`returns`.
    :param evaluations: Mean returns of the Zoo's evaluations while it trained.
    :param scalars: What SB3 logged to TensorBoard, by its tags: losses, std, entropy, ...
    """

    name: str
    returns: Series | None = None
    success: Series | None = None
    seconds: Series | None = None
    evaluations: Series | None = None
    scalars: Mapping[str, Series] = field(default_factory=dict)


def read_log(run: Run, *, started: float | None = None, success_threshold: float = 200.0) -> TrainingLog:
    """Read what a run wrote down; what it did not write is None.

    :param started: When its training began, in seconds since the epoch, to find its TensorBoard log.
    :param success_threshold: The return that counts as a success.
    """
    found: dict[str, Any] = {}
    with contextlib.suppress(LoadMonitorResultsError):
        episodes = load_results(str(run.path))  # in the order in which they ended
        length, gained, time = (episodes[key].to_numpy() for key in "lrt")
        if len(length):
            bins = np.array_split(np.arange(len(length)), min(100, len(length)))
            ends = [part[-1] for part in bins]
            at = np.cumsum(length)[ends]
            found["returns"] = Series(at, np.array([gained[part].mean() for part in bins]))
            found["success"] = Series(at, np.array([(gained[part] >= success_threshold).mean() for part in bins]))
            found["seconds"] = Series(at, time[ends])
    with contextlib.suppress(FileNotFoundError), np.load(run.path / "evaluations.npz") as content:
        found["evaluations"] = Series(content["timesteps"], content["results"].mean(axis=1))
    folder = None if started is None else run.tensorboard_folder(started)
    if folder is not None and folder.is_dir():
        found["scalars"] = _scalars(folder)
    return TrainingLog(f"{run.algo}/{run.path.name}", **found)


def _scalars(folder: Path) -> dict[str, Series]:
    from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-untyped]  # has no types

    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 1000}).Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        points = events.Scalars(tag)
        found[tag] = Series(np.array([p.step for p in points]), np.array([p.value for p in points]))
    return found


def band(series: Sequence[Series], points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return several trainings' figure on one grid of steps.

    :param series: One for each seed.
    :return: Steps, shape ``(points,)``, over what all have, and values, shape ``(seeds, points)``.
    """
    first, last = max(s.steps[0] for s in series), min(s.steps[-1] for s in series)
    grid = np.linspace(first, last, points)
    return grid, np.array([np.interp(grid, s.steps, s.values) for s in series])
