"""What evaluated agents leave behind: a table, JSON, CSV, and the run's TensorBoard log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sb3_lander.agents.agent import Agent
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.tensorboard import add_to_tensorboard
from sb3_lander.evaluation.video import Recording

_SCALARS = ("mean_return", "std_return", "iqm_return", "success_rate", "mean_length")


@dataclass(frozen=True)
class Evaluated:
    """One loaded agent, and what came out.

    :param agent: The agent.
    :param report: Its episodes.
    :param recordings: Its videos, by :func:`~sb3_lander.evaluation.video.extremes`'s names.
    """

    agent: Agent
    report: EvaluationReport
    recordings: Mapping[str, Recording] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """File name of the agent's model."""
        return "" if self.agent.model is None else self.agent.model.name

    def to_dict(self) -> dict[str, Any]:
        """Return the report with its episodes, and the model's file names and step, as plain values."""
        statistics = None if self.agent.statistics is None else self.agent.statistics.name
        return {"model": self.model, "step": self.agent.step, "vecnormalize": statistics, **self.report.to_dict()}


def table(results: Sequence[Evaluated]) -> str:
    """Return the report of one model, or a table with a line for each of several."""
    first = results[0].report
    if len(results) == 1:
        return f"{results[0].model} after {results[0].agent.step:,} steps\n{first}"
    header = f"{'step':>11} {'return':>8} {'std':>7} {'iqm':>8} {'success':>8}  {'95% interval':<17}{'length':>7}"
    lines = [str(first).splitlines()[0], header]
    for one in results:
        report, interval = one.report, "{:.1%} to {:.1%}".format(*one.report.success_interval)
        line = f"{one.agent.step:>11,} {report.mean_return:>8.1f} {report.std_return:>7.1f} {report.iqm_return:>8.1f} "
        lines.append(line + f"{report.success_rate:>8.1%}  {interval:<17}{report.mean_length:>7.1f}")
    return "\n".join(lines)


def to_json(results: Sequence[Evaluated], *, several: bool) -> str:
    """Return one report with its episodes, or ``{"checkpoints": [...]}`` with one for each model."""
    reports = [one.to_dict() for one in results]
    return json.dumps({"checkpoints": reports} if several else reports[0], indent=1) + "\n"


def to_csv(results: Sequence[Evaluated]) -> str:
    """Return one row for each episode: the model, its step, and the episode."""
    import pandas as pd  # type: ignore[import-untyped]  # it ships no types, and takes 0.3 s that only --csv shall pay

    rows = [
        {"model": one.model, "step": one.agent.step, **episode.to_dict()}
        for one in results
        for episode in one.report.episodes
    ]
    text: str = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    return text


def log(folder: Path, results: Sequence[Evaluated], env_kwargs: Mapping[str, Any]) -> Path:
    """Add scalars and videos to a TensorBoard log, at the models' steps.

    They go into a folder of their own, ``evaluation``, or as ``evaluation enable_wind=True``: of several events files
    in one folder TensorBoard would follow the newest only, and lose a training that goes on.

    :return: The folder that was written.
    """
    name = " ".join(["evaluation", *(f"{key}={value}" for key, value in env_kwargs.items())])
    target = folder / re.sub(r"[^\w .=+-]", "_", name)[:200]
    entries = []
    for one in results:
        scalars = {f"evaluation/{key}": float(getattr(one.report, key)) for key in _SCALARS}
        videos = {f"evaluation/{key}": recording for key, recording in one.recordings.items()}
        entries.append((one.agent.step, scalars, videos))
    add_to_tensorboard(target, entries)
    return target
