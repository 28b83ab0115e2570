"""Comparisons: what is read from benchmarks and runs, the statistics, and the page."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from conftest import REPO, ShortRun

from sb3_lander.__main__ import main
from sb3_lander.evaluation.statistics import probability_of_improvement
from sb3_lander.report.comparison import Configuration, compare, read_configurations

pytestmark = pytest.mark.filterwarnings("ignore:.*LunarLanderContinuous-v2 is out of date:DeprecationWarning")


def test_the_probability_of_improvement_is_mann_whitneys() -> None:
    ours, theirs = [1.0, 2.0, 3.0, 7.0, 7.0], [2.0, 0.0, 7.0]
    found = probability_of_improvement(ours, theirs)
    u = scipy.stats.mannwhitneyu(ours, theirs).statistic
    assert found.value == pytest.approx(u / 15)
    assert 0.0 <= found.low < found.value < found.high <= 1.0
    assert probability_of_improvement([3.0, 4.0], [1.0, 2.0]).low == 1.0
    assert probability_of_improvement(theirs, ours).value == pytest.approx(1 - found.value)


@pytest.fixture
def benchmark_json(tmp_path: Path) -> Path:
    """Write a benchmark of two recipes with three seeds, one of which never gets there."""

    def run(recipe: str, seed: int, final: float, seconds: float | None) -> dict[str, object]:
        solved = {} if seconds is None else {"200": {"steps": 1000.0 * seconds, "seconds": seconds}}
        curve = [{"steps": 10_000, "mean_return": final / 2}, {"steps": 20_000, "mean_return": final}]
        return {"recipe": recipe, "seed": seed, "final": {"mean_return": final}, "solved": solved, "curve": curve}

    results = {
        "measurement": {"targets": [200.0, 250.0]},
        "recipes": {"quick": {"watch": {}}, "slow": {"watch": {"targets": [200.0]}}},
        "runs": [run("quick", s, 250.0 + s, 3.0 + s) for s in (2, 0, 1)]
        + [run("slow", s, 200.0 + s, None if s == 1 else 30.0) for s in range(3)],
    }
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps(results))
    return file


def test_a_benchmark_holds_a_configuration_for_each_recipe(benchmark_json: Path) -> None:
    quick, slow = read_configurations(benchmark_json)
    assert (quick.name, quick.finals) == ("quick", (250.0, 251.0, 252.0))
    assert quick.solved == {
        "200": ((3000.0, 3.0), (4000.0, 4.0), (5000.0, 5.0)),
        "250": ((math.inf, math.inf),) * 3,
    }
    assert slow.solved == {"200": ((30000.0, 30.0), (math.inf, math.inf), (30000.0, 30.0))}
    assert [curve.values[-1] for curve in slow.curves] == [200.0, 201.0, 202.0]


def test_the_page_says_who_is_better_and_how_sure_that_is(benchmark_json: Path, tmp_path: Path) -> None:
    out = tmp_path / "compare.html"
    figures = tmp_path / "figures"
    assert main(["compare", str(benchmark_json), "-o", str(out), "--figures", str(figures)]) == 0
    page = out.read_text()
    # The median seed of three; one never reached it, so the interval is open at the top.
    assert "<td>2 of 3</td><td>30.0 [30.0, never]</td>" in page
    assert "<td>0 of 3</td><td>not reached</td>" in page
    assert "1.00 [1.00, 1.00]" in page
    assert "0.00 [0.00, 0.00]" in page
    assert sorted(file.name for file in figures.iterdir()) == [
        *("learning_curves.png", "learning_curves.svg", "performance_profile.png", "performance_profile.svg")
    ]


def test_the_committed_benchmark_can_be_compared(tmp_path: Path) -> None:
    (ours,) = read_configurations(REPO / "scripts/results/default_budget.json")
    assert len(ours.finals) == len(ours.curves) >= 5


def test_trainings_too_short_for_a_curve_are_compared_without_one(tmp_path: Path) -> None:
    """Of many environments none may have ended an episode yet."""
    configurations = [Configuration(name, (1.0,), (0.5, 1.5), (), {}) for name in "ab"]
    written = compare(configurations, tmp_path / "page.html", figures=tmp_path)
    assert {path.stem for path in written} == {"page", "performance_profile"}
    assert "Return against steps" not in (tmp_path / "page.html").read_text()


def test_runs_are_seeds_of_a_configuration(v2_run: ShortRun, tmp_path: Path) -> None:
    for number in (1, 2):
        shutil.copytree(v2_run.folder, tmp_path / "ppo" / f"LunarLanderContinuous-v2_{number}")
    (both,) = read_configurations(tmp_path / "ppo", episodes=5)
    assert (both.name, len(both.finals), len(both.episodes), len(both.curves)) == ("ppo", 2, 10, 2)
    assert both.finals[0] == pytest.approx(np.mean(both.episodes[:5]))
    assert both.solved == {"200": ((math.inf, math.inf),) * 2}
    (one,) = read_configurations(tmp_path / "ppo" / "LunarLanderContinuous-v2_1", episodes=5)
    assert one.name == "ppo/LunarLanderContinuous-v2_1"
    assert main(["compare", str(tmp_path / "ppo"), str(v2_run.folder), "-o", str(tmp_path / "page.html")]) == 0


def test_a_run_solves_when_a_hundredth_of_its_episodes_average_the_target(v2_run: ShortRun, tmp_path: Path) -> None:
    run = Path(shutil.copytree(v2_run.folder, tmp_path / "ppo" / "LunarLanderContinuous-v2_1"))
    for file in run.glob("*.monitor.csv"):
        file.unlink()
    # 200 episodes of 100 steps, half a second each; from the 61st on they return 250.
    rows = [f"{100 if i < 60 else 250},100,{(i + 1) / 2}" for i in range(200)]
    (run / "0.monitor.csv").write_text('#{"t_start": 0.0, "env_id": "x"}\nr,l,t\n' + "\n".join(rows) + "\n")
    (one,) = read_configurations(run, episodes=2)
    assert one.solved == {"200": ((6200.0, 31.0),)}
    page = tmp_path / "page.html"
    assert main(["compare", str(run), str(v2_run.folder.parent), "--episodes", "2", "-o", str(page)]) == 0
    assert "<td>1 of 1</td><td>6.20 [6.20, 6.20]</td><td>31.0 [31.0, 31.0]</td>" in page.read_text()


def test_a_mistake_is_one_line(benchmark_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "empty").mkdir()
    for words, message in (
        ([tmp_path / "none.json"], "does not exist: give a benchmark's JSON, or run folders"),
        ([tmp_path / "other.json"], "is not what the benchmark writes"),
        ([tmp_path / "empty"], "is no run of the RL Zoo, and has none in it"),
        ([benchmark_json, benchmark_json], "needs two configurations or more with names of their own"),
        ([benchmark_json, "-o", tmp_path / "nowhere" / "page.html"], "no folder"),
    ):
        assert main(["compare", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    with pytest.raises(ValueError, match="two configurations"):
        compare(read_configurations(benchmark_json)[:1], tmp_path / "page.html")
