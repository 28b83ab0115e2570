"""Pages that are one file, and plots as files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from sb3_lander.report.plot import Plot


def render(template: str, **values: Any) -> str:
    """Return a page of ``sb3_lander/report/templates``; values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sb3_lander.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["data"] = data_url
    return environment.get_template(template).render(**values)


def render_text(template: str, **values: Any) -> str:
    """Return a text of ``sb3_lander/report/templates``, as it stands."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("sb3_lander.report"), undefined=jinja2.StrictUndefined)
    return environment.get_template(template).render(**values)


def data_url(content: bytes, kind: str) -> str:
    """Return a file's content as a URL, so that the page needs no other file.

    :param content: The file.
    :param kind: Its MIME type.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def save_plots(plots: Mapping[str, Sequence[Plot]], folder: Path) -> list[Path]:
    """Save plots for papers, and return the files: ``NAME.svg`` and ``NAME.png``, in a folder for each group."""
    written = []
    for group, members in plots.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for plot in members:
            for kind in ("svg", "png"):
                file = folder / group / f"{plot.name}.{kind}"
                file.write_bytes(plot.save(kind))
                written.append(file)
    return written
