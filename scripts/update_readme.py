"""Write the README's tables and draw its learning curves, from the committed results alone.

Usage: python scripts/update_readme.py
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from sb3_lander.benchmark import summary
from sb3_lander.statistics import Interval, interquartile_mean

mpl.use("Agg")
from matplotlib import pyplot as plt

REPO = Path(__file__).resolve().parent.parent
RESULTS = REPO / "scripts" / "results"


def load(name: str) -> dict[str, Any]:
    """Return a committed result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def thousands(interval: Interval) -> str:
    """Return an interval of steps in thousands."""
    return str(Interval(interval.value / 1e3, interval.low / 1e3, interval.high / 1e3))


def solving_table() -> str:
    """Return the time to 200 and 250 against the Zoo's own entry, alternating in one run."""
    results = load("solving")
    rows = []
    for name, row in summary(results, baseline="zoo").items():
        cells = [name]
        for target in ("200", "250"):
            worst = row["worst_seconds"][target]
            cells += [
                f"{row['solved'][target]}/{row['seeds']}",
                thousands(row["steps"][target]),
                str(row["seconds"][target]),
                f"{worst:.1f}" if math.isfinite(worst) else "never",
            ]
        cells += [str(row["speedup"]["200"])]
        rows.append(cells)
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "seconds", "worst"]
    return markdown([*head, "times faster to 200"], rows)


def final_table() -> str:
    """Return what the whole default budget ends at."""
    rows = []
    for row_name, row in summary(load("default_budget")).items():
        rate: Interval = row["success_rate"]
        percent = Interval(100 * rate.value, 100 * rate.low, 100 * rate.high)
        cells = [row_name, str(row["seeds"]), str(row["final_iqm"]), str(row["final_mean"]), f"{percent.value:.2f}"]
        rows.append([*cells, str(row["length"]), f"{row['steps_per_second'].value:,.0f}"])
    return markdown(["recipe", "seeds", "interquartile mean", "mean", "success %", "length", "steps/s"], rows)


def ablation_table() -> str:
    """Return what each ingredient is worth, taken out alone."""
    rows = []
    for name, row in summary(load("ablation")).items():
        cells = [name]
        for target in ("200", "250"):
            cells += [
                f"{row['solved'][target]}/{row['seeds']}",
                thousands(row["steps"][target]),
                str(row["seconds"][target]),
            ]
        rows.append(cells)
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "seconds"]
    return markdown(head, rows)


def draw_learning_curves(path: Path) -> None:
    """Draw the interquartile mean over seeds of the deterministic return, with the quartiles' band, against steps."""
    results = load("default_budget")
    figure, axes = plt.subplots(figsize=(7.0, 3.6), layout="constrained")
    for name, label in (("ppo", "sb3-lander"), ("zoo", "the RL Zoo's own PPO entry")):
        runs = [r for r in results["runs"] if r["recipe"] == name]
        if not runs:
            continue
        grid = np.linspace(0, max(r["budget"] for r in runs), 61)[1:]
        curves = np.array(
            [
                np.interp(grid, [p["steps"] for p in r["curve"]], [p["mean_return"] for p in r["curve"]], left=np.nan)
                for r in runs
            ]
        )
        shown = ~np.isnan(curves).any(axis=0)
        low, high = np.quantile(curves[:, shown], [0.25, 0.75], axis=0)
        (line,) = axes.plot(grid[shown] / 1e6, interquartile_mean(curves[:, shown], axis=0), label=label)
        axes.fill_between(grid[shown] / 1e6, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.axhline(200, color="grey", linewidth=0.8, linestyle="--")
    axes.text(0.01, 205, "solved", color="grey", fontsize=8)
    axes.set(xlabel="environment steps (millions)", ylabel="return, 100 fixed tasks", ylim=(-200, 310))
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Replace what stands between each pair of markers, and draw the figure."""
    readme = REPO / "README.md"
    text = readme.read_text()
    for name, table in (("solving", solving_table), ("final", final_table), ("ablation", ablation_table)):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no place for the table {name!r}: <!-- {name} --> ... <!-- /{name} -->")
        text = pattern.sub(lambda found, table=table: found.group(1) + table() + found.group(2), text)
    readme.write_text(text)
    draw_learning_curves(REPO / "assets" / "learning_curves.png")


if __name__ == "__main__":
    main()
