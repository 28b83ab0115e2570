"""A plot: drawn for light and for dark pages, with a text that says the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

_INK = {"light": "#222222", "dark": "#e6e6e6"}


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn for light and for dark pages.

    :param name: For file names.
    :param title: What it shows.
    :param text: What can be seen on it, for those who cannot.
    :param draw: Draws it in the style that is in force.
    """

    name: str
    title: str
    text: str
    draw: Callable[[], Figure]

    def save(self, kind: str, theme: Theme = "light") -> bytes:
        """Return the plot as a file's content.

        :param kind: ``svg`` or ``png``.
        :param theme: For a light or a dark page; the ground is transparent in both.
        """
        out = io.BytesIO()
        with _style(theme):
            # Without the date, and with fixed ids, the same plot is the same file.
            metadata = {"Date": None} if kind == "svg" else None
            self.draw().savefig(out, format=kind, transparent=True, metadata=metadata)
        return out.getvalue()


@contextmanager
def _style(theme: Theme) -> Iterator[None]:
    ink = _INK[theme]
    settings: dict[Any, Any] = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink),
        **{"font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False},
        **{"savefig.dpi": 150, "svg.hashsalt": "sb3-lander", "svg.fonttype": "none"},
    }
    with mpl.rc_context(settings):
        yield


def new_axes(width: float = 7.0, height: float = 3.4, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of this size in inches, and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
