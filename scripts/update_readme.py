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


def inverse(ratio: Interval) -> Interval:
    """Return a ratio the other way round: how many times longer instead of faster."""

    def turned(value: float) -> float:
        return 1.0 / value if value else math.inf

    return Interval(turned(ratio.value), turned(ratio.high), turned(ratio.low))


def solving_table() -> str:
    """Return the time to 200 and 250 against the Zoo's own entry, alternating in one run."""
    results = load("solving")
    rows = []
    for name, row in summary(results, baseline="zoo").items():
        cells = [name]
        asked = results["recipes"][name]["watch"].get("targets", results["measurement"]["targets"])
        for target in ("200", "250"):
            if float(target) not in asked:
                cells += [""] * 4
                continue
            worst = row["worst_seconds"][target]
            cells += [
                f"{row['solved'][target]}/{row['seeds']}",
                thousands(row["steps"][target]),
                str(row["seconds"][target]),
                f"{worst:.1f}" if math.isfinite(worst) else "never",
            ]
        cells += [str(row["speedup"]["200"]), f"{row['steps_per_second_with_evaluations'].value:,.0f}"]
        rows.append(cells)
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "seconds", "worst"]
    return markdown([*head, "times faster to 200", "steps/s with the Zoo's evaluations"], rows)


def ablation_table() -> str:
    """Return what each ingredient is worth: the time to 200 and 250 without it."""
    results = load("ablation")
    rows = []
    for name, row in summary(results, baseline="everything").items():
        cells = [name]
        for target in ("200", "250"):
            cells += [f"{row['solved'][target]}/{row['seeds']}", thousands(row["steps"][target])]
            slower = inverse(row["speedup"][target])
            cells.append("" if name == "everything" else str(slower))
        rows.append(cells)
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "times the seconds"]
    return markdown(head, rows)


def final_table() -> str:
    """Return what the whole default budget ends at."""
    rows = []
    for row_name, row in summary(load("default_budget")).items():
        rate: Interval = row["success_rate"]
        percent = f"{100 * rate.value:.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"
        cells = [row_name, str(row["seeds"]), str(row["final_iqm"]), str(row["final_mean"]), percent]
        rows.append([*cells, str(row["length"])])
    return markdown(["recipe", "seeds", "interquartile mean", "mean", "success %", "length"], rows)


def throughput_table() -> str:
    """Return steps a second against the number of environments."""
    results = load("throughput")
    counts = ("1", "8", "16", "64", "256", "512")
    rows = [
        [name, *(f"{figures[n]:,}" if n in figures else "" for n in counts)]
        for name, figures in results["steps_per_second"].items()
    ]
    alone = f"{results['b2world_step_per_second']:,}"
    rows.append(["`b2World.Step` alone, one core", alone, *[""] * (len(counts) - 1)])
    return markdown(["steps a second with this many environments", *counts], rows)


def draw_learning_curves(path: Path) -> None:
    """Draw the deterministic return against steps: each seed, and their interquartile mean."""
    ours = load("default_budget")["runs"]
    figure, axes = plt.subplots(figsize=(7.0, 3.4), layout="constrained")
    for run in ours:
        steps, returns = zip(*((p["steps"] / 1e6, p["mean_return"]) for p in run["curve"]), strict=True)
        axes.plot(steps, returns, color="tab:blue", alpha=0.25, linewidth=0.8)
    grid = np.linspace(0.1, min(r["curve"][-1]["steps"] for r in ours) / 1e6, 100)
    curves = [
        np.interp(grid, [p["steps"] / 1e6 for p in run["curve"]], [p["mean_return"] for p in run["curve"]])
        for run in ours
    ]
    axes.plot(
        grid, interquartile_mean(np.array(curves), axis=0), color="tab:blue", label=f"sb3-lander, {len(ours)} seeds"
    )
    axes.axhline(200, color="grey", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="environment steps (millions)", ylabel="mean return, 100 fixed tasks", xlim=(0, None), ylim=(100, 310)
    )
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


TABLES = {
    "solving": solving_table,
    "ablation": ablation_table,
    "final": final_table,
    "throughput": throughput_table,
}
"""What a pair of markers in the README is filled with, such as <!-- final --> and <!-- /final -->."""


def main() -> None:
    """Replace what stands between each pair of markers, and draw the figure."""
    readme = REPO / "README.md"
    text = readme.read_text()
    names = re.findall(r"^<!-- (\w+) -->$", text, flags=re.MULTILINE)
    for name in names:
        if name not in TABLES:
            raise SystemExit(f"README.md asks for a table {name!r}; there are {', '.join(TABLES)}")
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        table = TABLES[name]() + "\n"
        text = pattern.sub(lambda found, table=table: found.group(1) + table + found.group(2), text)
    readme.write_text(text)
    draw_learning_curves(REPO / "assets" / "learning_curves.png")


if __name__ == "__main__":
    main()
