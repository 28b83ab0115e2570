"""Write the tables of the README and the documentation, and draw the README's pictures, from the committed results.

Usage: python scripts/update_readme.py [--pictures]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
from PIL import Image

from sb3_lander.agents import shipped_agent
from sb3_lander.agents.agent import SHIPPED
from sb3_lander.benchmark.runner import markdown, runs_of, solving_cells, summary, thousands, to_target
from sb3_lander.evaluation.statistics import Interval, median, ratio_of_medians

REPO = Path(__file__).resolve().parent.parent
RESULTS = REPO / "scripts" / "results"
ASSETS = REPO / "assets"
DOCS = ("index", "results", "tutorial", "howto/weather", "parts/train_in_python")
PAGES = [REPO / "README.md", *(REPO / "docs" / f"{name}.md" for name in DOCS)]
"""What has tables to fill. The documentation's build fills them again, from the results as they then are."""

LANDS = 95.0
"""A seed lands if this percentage of its flights does."""


def load(name: str) -> Any:
    """Return a committed result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def inverse(ratio: Interval) -> Interval:
    """Return a ratio the other way round: how many times longer instead of faster."""

    def turned(value: float) -> float:
        return 1.0 / value if value else math.inf

    return Interval(turned(ratio.value), turned(ratio.high), turned(ratio.low))


def solving_table() -> str:
    """Return the time to 200 and 250 against the Zoo's own entry, alternating in one run."""
    results = load("solving")
    zoos = to_target(runs_of(results, "zoo"), "200", "seconds")
    rows = []
    for name, row in summary(results, baseline="zoo").items():
        cells = [name]
        asked = results["recipes"][name]["watch"].get("targets", results["measurement"]["targets"])
        for target in ("200", "250"):
            if float(target) not in asked:
                cells += [""] * 4
                continue
            cells += solving_cells(row, target)
        # The Zoo's entry is not asked for 250, so ours to 250 is held against its time to 200.
        further = ratio_of_medians(zoos, to_target(runs_of(results, name), "250", "seconds"))
        rows.append([*cells, str(row["speedup"]["200"]), str(further) if name != "zoo" else ""])
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "seconds", "worst"]
    return markdown([*head, "times faster to 200", "to 250 than zoo to 200"], rows)


def headline() -> str:
    """Return what the shortest budget from which on every seed lands ends at, and the solving table's first row."""
    budgets = budget_rows()
    landing = (row for at, row in enumerate(budgets) if all(float(later[5]) >= LANDS for later in budgets[at:]))
    seeds, steps, seconds, iqm, _, worst, _ = next(landing)
    rows = summary(load("solving"), baseline="zoo")
    ours, zoos = rows["ppo"], rows["zoo"]
    return (
        f"With {steps} steps its PPO entry takes {seconds} seconds on two cores, and lands on "
        f"{worst} % or more of 1,000 unseen tasks\n"
        f"with each of {seeds} seeds (median interquartile mean {iqm.partition(' ')[0]}). "
        "With its whole budget it averages 200, and keeps it, after\n"
        f"{ours['seconds']['200'].value:.1f} seconds (median of {ours['seeds']} seeds, worst "
        f"{ours['worst_seconds']['200']:.1f}), where the Zoo's own needs {zoos['seconds']['200'].value:.0f}: "
        f"{ours['speedup']['200'].value:.0f} times sooner, measured in turn."
    )


def times_table(name: str, baseline: str) -> str:
    """Return steps to 200 and 250 of a result's recipes, and their seconds in multiples of one's."""
    rows = []
    for recipe, row in summary(load(name), baseline=baseline).items():
        cells = [recipe]
        for target in ("200", "250"):
            cells += [f"{row['solved'][target]}/{row['seeds']}", thousands(row["steps"][target])]
            cells.append("" if recipe == baseline else str(inverse(row["speedup"][target])))
        rows.append(cells)
    head = ["recipe"]
    for target in ("200", "250"):
        head += [f"reach {target}", "thousand steps", "times the seconds"]
    return markdown(head, rows)


def beside_ours(name: str) -> Any:
    """Return a committed result with the whole trainings of our PPO entry before it, in place of any of its own."""
    ours, results = load("default_budget"), load(name)
    results["recipes"] = {**ours["recipes"], **{k: v for k, v in results["recipes"].items() if k != "ppo"}}
    results["runs"] = [*ours["runs"], *(run for run in results["runs"] if run["recipe"] != "ppo")]
    return results


def final_table() -> str:
    """Return what the whole default budgets end at, and the steps a second of both commands in turn."""
    speed = summary(load("speed"))
    rows = []
    for name, row in summary(beside_ours("beside_zoo")).items():
        rate: Interval = row["success_rate"]
        percent = f"{100 * rate.value:.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"
        cells = [name, str(row["seeds"]), str(row["final_iqm"]), str(row["final_mean"]), percent, str(row["length"])]
        rows.append([*cells, f"{speed[name]['steps_per_second_with_evaluations'].value:,.0f}"])
    head = ["recipe", "seeds", "interquartile mean", "mean", "success %", "length", "steps/s"]
    return markdown(head, rows)


ENDS = ["seeds", "steps", "seconds", "interquartile mean", "success %", "worst seed's", "length"]


def median_and_worst(finals: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the median seed's interquartile mean and success, and the worst seed's success, as cells."""
    iqms, rates = ([final[figure] for final in finals] for figure in ("iqm_return", "success_rate"))
    return [str(median(iqms)), f"{100 * median(rates).value:.1f}", f"{100 * min(rates):.1f}"]


def ends_at(results: Any, timed: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return, by recipe, what its whole trainings end at, and how long one takes at the timed steps a second."""
    rows = {}
    for name, row in summary(results).items():
        runs = runs_of(results, name)
        steps = runs[0]["budget"]
        seconds = steps / timed[name]["steps_per_second_with_evaluations"].value
        cells = [str(row["seeds"]), f"{steps:,}", f"{seconds:,.0f}", *median_and_worst([run["final"] for run in runs])]
        rows[name] = [*cells, f"{row['length'].value:.0f}"]
    return rows


def algorithm_speeds() -> dict[str, Mapping[str, Any]]:
    """Return the summaries of one training of each algorithm that ran alone, by recipe."""
    return {**summary(load("algorithm_times")), "ppo": summary(load("speed"))["ppo"]}


def algorithms_table() -> str:
    """Return what our entry of each algorithm ends at, and the Zoo's for the same algorithms."""
    timed = load("algorithm_times")
    ends = ends_at(beside_ours("algorithms"), algorithm_speeds())
    rows = [[name, *cells] for name, cells in sorted(ends.items(), key=lambda item: "Zoo" in item[0])]
    for run in timed["runs"]:
        if run["steps"] < run["budget"]:
            seconds = whole_seconds(run, timed["recipes"][run["recipe"]]["entry"]["learning_starts"])
            rows.append([run["recipe"], "", f"{run['budget']:,}", f"{seconds:,.0f}, extrapolated", *[""] * 4])
    return markdown(["entry", *ENDS], rows)


def mirror_buffer_table() -> str:
    """Return what the entries of SAC and TQC come to with and without the mirror of their buffer, early and at last."""
    results, without = load("algorithms"), load("mirror_buffer")
    rows = []
    for algo in ("sac", "tqc"):
        for name, source in ((algo, results), (f"{algo}, no mirror", without)):
            runs = runs_of(source, name)
            early = [[run["curve"][look]["mean_return"] for run in runs] for look in (1, 5)]
            finals = median_and_worst([run["final"] for run in runs])
            rows.append([name, str(len(runs)), *(str(median(returns)) for returns in early), *finals])
    return markdown(["entry", ENDS[0], "mean return at 2/15 of the steps", "at 6/15", *ENDS[3:6]], rows)


def budget_rows() -> list[list[str]]:
    """Return what the PPO entry ends at with other budgets, in rising order, and with its own, as cells under ENDS."""
    speed = summary(load("speed"))["ppo"]
    rows: list[list[str]] = []
    for name in ("budgets", "default_budget"):
        results = load(name)
        rows += ends_at(results, dict.fromkeys(results["recipes"], speed)).values()
    return sorted(rows, key=lambda row: int(row[1].replace(",", "")))


def python_example_table() -> str:
    """Return what the training in Python of the documentation ends at."""
    runs = load("python_example")["runs"]
    return markdown([ENDS[0], *ENDS[3:6]], [[str(len(runs)), *median_and_worst(runs)]])


def discrete_table() -> str:
    """Return what our entries for the lander with four actions end at."""
    ends = ends_at(load("discrete"), summary(load("discrete_times")))
    return markdown(["entry", *ENDS], [[name, *cells] for name, cells in ends.items()])


def walker_table() -> str:
    """Return what our entry for the walker ends at, with and without its mirror, its mean returns too."""
    results = load("walker")
    rows = []
    for name, cells in ends_at(results, summary(load("walker_times"))).items():
        means = [run["final"]["mean_return"] for run in runs_of(results, name)]
        rows.append([name, *cells[:3], str(median(means)), f"{min(means):.1f}", *cells[3:]])
    return markdown(["entry", *ENDS[:3], "mean return", "worst seed's", *ENDS[3:]], rows)


def shipped_table() -> str:
    """Return what the agents that ship came to on the tasks of their reports."""
    rows = []
    for path in sorted(SHIPPED.rglob("report.json")):
        report, (*weather, algo, run) = json.loads(path.read_text())["report"], path.parent.relative_to(SHIPPED).parts
        which = f"{algo}, {run.removesuffix('_1')}" + (", any weather" if weather else "")
        success = f"{100 * report['success_rate']:.1f}"
        figures = (f"{report[figure]:.1f}" for figure in ("iqm_return", "mean_return"))
        rows.append([which, *figures, success, f"{report['mean_length']:.0f}", f"{report['mean_fuel']:.1f}"])
    return markdown(["agent", "interquartile mean", "mean return", "success %", "length", "fuel"], rows)


def weather_table() -> str:
    """Return what the agents that ship come to in the named weathers."""
    agents = load("weather")["agents"]
    rows = []
    for weather in next(iter(agents.values()))["named"]:
        rows.append([weather])
        for agent in agents.values():
            end = agent["named"][weather]
            rows[-1] += [f"{end['iqm_return']:.1f}", f"{100 * end['success_rate']:.1f}"]
    head = [cell for name in agents for cell in (f"agent {name}: interquartile mean", "success %")]
    return markdown(["weather", *head], rows)


def whole_seconds(run: Any, learning_starts: int) -> float:
    """Return how long a training of the Zoo's would take that was stopped soon after its updates had begun.

    Its evaluations are left out. Each step after ``learning_starts`` has one update.
    """
    update = run["split"]["update"]
    others = (run["seconds"] - update) * run["budget"] / run["steps"]
    return float(others + update * (run["budget"] - learning_starts) / (run["steps"] - learning_starts))


def allenact_table() -> str:
    """Return what AllenAct's configuration ends at, seed by seed."""
    runs = runs_of(load("allenact"), "allenact")
    rows = []
    for run, steps in zip(runs, to_target(runs, "200", "steps"), strict=True):
        final = run["final"]
        cells = [str(run["seed"]), f"{steps / 1e3:,.0f}" if math.isfinite(steps) else "never"]
        cells += [f"{final['mean_return']:.1f}", f"{final['iqm_return']:.1f}", f"{100 * final['success_rate']:.1f}"]
        landed = sum(final["outcomes"].get(where, 0) for where in ("landed_on_pad", "landed_off_pad"))
        rows.append([*cells, f"{100 * landed / final['n_episodes']:.1f}", f"{final['mean_length']:.0f}"])
    head = ["seed", "thousand steps to 200", "mean return", "interquartile mean", "success %", "landed %", "length"]
    return markdown(head, rows)


def throughput_table() -> str:
    """Return steps a second against the number of environments, and those of our VecEnvs over others'."""
    results = load("throughput")
    counts = list(results["steps_per_second"]["BatchedSubprocVecEnv"])
    rows = [
        [name.replace("1 threads", "1 thread"), *(f"{figures[n]:,}" if n in figures else "" for n in counts)]
        for name, figures in results["steps_per_second"].items()
    ]
    compared = {f"{name}, over EnvPool's": each for name, each in results["envpool_vec_env_over_raw_quartiles"].items()}
    over = results["batched_subproc_vec_env_over_others_quartiles"]
    compared |= {f"BatchedSubprocVecEnv, over {other}'s": each for other, each in over.items()}
    for name, ratios in compared.items():
        medians = (f"{ratios[n][1]:.2f}" if n in ratios else "" for n in counts)
        rows.append([name.replace("1 threads", "1 thread"), *medians])
    alone = f"{results['b2world_step_per_second']:,}"
    rows.append(["`b2World.Step` alone, one core", alone, *[""] * (len(counts) - 1)])
    return markdown(["steps a second with this many environments", *counts], rows)


def study_table() -> str:
    """Return the best trials of the search in earnest, and the entry it began with, on the fresh seeds."""
    rows = []
    in_study = {f"trial {trial['number']}": trial["value"] for trial in load("study")}
    for recipe, row in sorted(summary(load("study_top")).items(), key=lambda item: item[1]["seconds"]["250"].value):
        # The study's first trial is the entry itself.
        value = in_study["trial 0" if recipe == "entry" else recipe]
        rows.append([recipe, f"{value:.2f}", str(row["seconds"]["250"]), f"{row['worst_seconds']['250']:.1f}"])
    return markdown(["recipe", "seconds to 250 in the study", "on ten fresh seeds", "worst"], rows)


def proof_table() -> str:
    """Return what became of the trials of searches that were disturbed, beside an undisturbed one's."""
    results = load("tuning_proof")
    rows = []
    for kind in ("undisturbed", "processes", "postgresql", "dask"):
        found = results[kind]
        killed = found.get("killed", {"workers": 0, "command": 0, "restarts": 0})
        same = {None: "", True: "yes", False: "NO"}[found.get("same_as_undisturbed")]
        counts = [found["trials"], found["complete"], found["not_finished"], found["seeds_right"]]
        rows.append([kind, *map(str, killed.values()), *map(str, counts), same])
    head = ["search", "workers killed", "command killed", "restarts", "trials", "complete", "not finished"]
    return markdown([*head, "with the right seeds", "as the undisturbed"], rows)


BLOCKS = {
    "headline": headline,
    "solving": solving_table,
    "algorithms": algorithms_table,
    "budgets": lambda: markdown(ENDS, budget_rows()),
    "python_example": python_example_table,
    "mirror_buffer": mirror_buffer_table,
    "discrete": discrete_table,
    "walker": walker_table,
    "shipped": shipped_table,
    "weather": weather_table,
    "allenact": allenact_table,
    "ablation": lambda: times_table("ablation", "everything"),
    "mirror": lambda: times_table("mirror", "none"),
    "final": final_table,
    "study": study_table,
    "proof": proof_table,
    "throughput": throughput_table,
}
"""What a pair of markers in a page is filled with, such as <!-- final --> and <!-- /final -->."""


def fill_tables(text: str) -> str:
    """Return a page with what stands between each pair of markers replaced."""
    for name in re.findall(r"^<!-- (\w+) -->$", text, flags=re.MULTILINE):
        if name not in BLOCKS:
            raise SystemExit(f"a page asks for {name!r}; there are {', '.join(BLOCKS)}")
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        table = BLOCKS[name]() + "\n"
        text = pattern.sub(lambda found, table=table: found.group(1) + table + found.group(2), text)
    return text


def run(*words: str | Path, cwd: Path = REPO) -> None:
    """Run a command of Python's, as the README shows them."""
    subprocess.run([sys.executable, "-m", *map(str, words)], cwd=cwd, check=True)


def copy_on_white(picture: Path, target: Path) -> None:
    """Copy a picture whose ground is transparent, so that it can be read on a dark page too."""
    with Image.open(picture) as image:
        ground = Image.new("RGBA", image.size, "white")
        Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB").save(target, optimize=True)


def draw_learning_curves(folder: Path) -> None:
    """Let ``compare`` draw our curves and the Zoo's."""
    results = folder / "curves.json"
    results.write_text(json.dumps(beside_ours("beside_zoo")))
    run("sb3_lander", "compare", results, "-o", folder / "compare.html", "--figures", folder / "figures")
    copy_on_white(folder / "figures" / "learning_curves.png", ASSETS / "learning_curves.png")


def draw_landing() -> None:
    """Make a GIF of the shipped agent's median landing: every third frame of 50 a second, at half the size."""
    frames = imageio.mimread(shipped_agent() / "replay.mp4", memtest=False)
    images = [Image.fromarray(frame).resize((300, 200), Image.Resampling.LANCZOS) for frame in frames[::3]]
    images = [image.quantize(colors=32, dither=Image.Dither.NONE) for image in images]
    images[0].save(ASSETS / "landing.gif", save_all=True, append_images=images[1:], duration=60, loop=0)


def draw_report(folder: Path) -> None:
    """Train for 20 seconds with the literal command, let ``report`` make its page, and take its picture in Chromium."""
    command = "rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2 -n 300000 --seed 1 -tb tb"
    run(*command.split(), cwd=folder)
    run("sb3_lander", "report", "logs/ppo/LunarLanderContinuous-v2_1", cwd=folder)
    # Here, since the documentation's build reads the tables above without a browser.
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    # Not chromium --screenshot: it can only show the top of a page, and the flights are further down.
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=760,1370"):
        options.add_argument(argument)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        browser.get((folder / "report.html").as_uri())
        flights = browser.find_element(By.CSS_SELECTOR, "figure:has(img[alt*='flights'])")
        browser.execute_script("arguments[0].scrollIntoView(); scrollBy(0, -16)", flights)
        browser.save_screenshot(str(folder / "report.png"))
    with Image.open(folder / "report.png") as image:
        image.convert("RGB").quantize(colors=256).save(ASSETS / "report.png", optimize=True)


def main() -> None:
    """Fill the tables and draw the curves; with --pictures the landing and the report's page too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", action="store_true", help="make the landing and the report's picture again too")
    arguments = parser.parse_args()
    for page in PAGES:
        page.write_text(fill_tables(page.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        draw_learning_curves(Path(folder))
        if arguments.pictures:
            draw_landing()
            draw_report(Path(folder))


if __name__ == "__main__":
    main()
