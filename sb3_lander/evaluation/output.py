"""What an assessment leaves behind: a table, JSON, CSV, and the run's TensorBoard log."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sb3_lander.evaluation.assessment import Assessed
from sb3_lander.evaluation.video import add_to_tensorboard

__all__ = ["log", "table", "to_csv", "to_json"]

_SCALARS = ("mean_return", "std_return", "iqm_return", "success_rate", "mean_length")


def table(findings: Sequence[Assessed]) -> str:
    """Return the report of one model, or a table with a line for each of several."""
    first = findings[0].report
    if len(findings) == 1:
        subject = findings[0].subject
        return f"{subject.model.name} after {subject.step:,} steps\n{first}"
    header = f"{'step':>11} {'return':>8} {'std':>7} {'iqm':>8} {'success':>8}  {'95% interval':<17}{'length':>7}"
    lines = [str(first).splitlines()[0], header]
    for assessed in findings:
        report = assessed.report
        interval = "{:.1%} to {:.1%}".format(*report.success_interval)
        lines.append(
            f"{assessed.subject.step:>11,} {report.mean_return:>8.1f} {report.std_return:>7.1f} "
            f"{report.iqm_return:>8.1f} {report.success_rate:>8.1%}  {interval:<17}{report.mean_length:>7.1f}"
        )
    return "\n".join(lines)


def to_json(findings: Sequence[Assessed], *, several: bool) -> str:
    """Return one report with its episodes, or ``{"checkpoints": [...]}`` with one for each model."""
    reports = [assessed.to_dict() for assessed in findings]
    return json.dumps({"checkpoints": reports} if several else reports[0], indent=1) + "\n"


def to_csv(findings: Sequence[Assessed]) -> str:
    """Return one row for each episode: the model, its step, and the episode."""
    rows: list[dict[str, Any]] = [
        {"model": assessed.subject.model.name, "step": assessed.subject.step, **episode.to_dict()}
        for assessed in findings
        for episode in assessed.report.episodes
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def log(folder: Path, findings: Sequence[Assessed], env_kwargs: Mapping[str, Any]) -> Path:
    """Add scalars and videos to a TensorBoard log, at the models' steps.

    They go into a folder of their own in the log, ``evaluation``, which TensorBoard shows beside the training:
    of several events files in one folder it would follow the newest only, and lose a training that goes on.
    Keyword arguments of the environment are part of the name, as ``evaluation enable_wind=True``.

    :return: The folder that was written.
    """
    name = " ".join(["evaluation", *(f"{key}={value}" for key, value in env_kwargs.items())])
    target = folder / re.sub(r"[^\w .=+-]", "_", name)[:200]
    entries = []
    for assessed in findings:
        summary = assessed.report.summary()
        scalars = {f"evaluation/{key}": float(summary[key]) for key in _SCALARS}
        videos = {f"evaluation/{key}": recording for key, recording in assessed.recordings.items()}
        entries.append((assessed.subject.step, scalars, videos))
    add_to_tensorboard(target, entries)
    return target
