"""What a page is made of: templates, and plots for light and for dark pages with a text that says the same."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

_INK = {"light": "#222222", "dark": "#e6e6e6"}
_STYLE: dict[Any, Any] = {
    **{"font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False},
    **{"savefig.dpi": 150, "svg.hashsalt": "sb3-lander", "svg.fonttype": "none"},
}

MARK: dict[str, Any] = {"color": "grey", "linewidth": 0.8, "linestyle": "--"}
"""The look of a line that marks a value."""


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn for light and for dark pages.

    :param name: For file names.
    :param title: What it shows.
    :param text: What can be seen on it, for those who cannot.
    :param draw: Draws on the panels, row by row.
    :param size: Width and height in inches.
    :param panels: Rows and columns of panels.
    """

    name: str
    title: str
    text: str
    draw: Callable[..., object]
    size: tuple[float, float] = (7.0, 3.4)
    panels: tuple[int, int] = (1, 1)

    def save(self, kind: str, theme: Literal["light", "dark"] = "light") -> bytes:
        """Return the plot as a file's content.

        :param kind: ``svg`` or ``png``.
        :param theme: For a light or a dark page; the ground is transparent in both.
        """
        out, inked = io.BytesIO(), ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        with mpl.rc_context(_STYLE | dict.fromkeys(inked, _INK[theme])):
            figure = Figure(figsize=self.size, layout="constrained")
            axes: np.ndarray = figure.subplots(*self.panels, squeeze=False)
            self.draw(*axes.flat)
            # Without the date, and with fixed ids, the same plot is the same file.
            figure.savefig(out, format=kind, transparent=True, metadata={"Date": None} if kind == "svg" else None)
        return out.getvalue()


def render(template: str, **values: Any) -> str:
    """Return a page or a text of ``sb3_lander/report/templates``; values are escaped in HTML."""
    loader, escape = jinja2.PackageLoader("sb3_lander.report"), jinja2.select_autoescape()
    environment = jinja2.Environment(loader=loader, autoescape=escape, undefined=jinja2.StrictUndefined)
    environment.filters["data"] = data_url
    return environment.get_template(template).render(**values)


def data_url(content: bytes, kind: str) -> str:
    """Return a file's content, of this MIME type, as a URL, so that the page needs no other file."""
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
