"""The benchmark on trainings of a few hundred steps, and its table on hand-made results."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPO, python, wait_until_gone
from dask_cluster import Cluster

from sb3_lander import Agent, evaluate, fixed_tasks
from sb3_lander.__main__ import main
from sb3_lander.benchmark import runner as benchmark
from sb3_lander.benchmark import training
from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.target import Target
from sb3_lander.envs import V3_ID
from sb3_lander.envs.cores import usable_cores

TINY = {"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1, "n_timesteps": 512}
"""Changes that make a training of any entry take a second."""
GAMMAS = {"near": 0.9, "far": 0.999}
QUICK = Measurement(targets=(-1e6, 1e6), hold=0.0, eval_every=256, curve_points=1, final_episodes=3)


@pytest.fixture(autouse=True)
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SOLVING_TASKS", 4)
    monkeypatch.setattr(training, "SCREENINGS", ((2, 100.0),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("nope", "no hyperparameters for 'nope'; valid names: a2c, "), ("ppo", "--out FILE is missing")],
)
def test_a_recipe_that_does_not_exist_is_told_before_the_missing_file(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", arguments]) == 2
    assert capsys.readouterr().err.startswith(f"sb3_lander: error: {message}")


def test_a_search_evaluates_on_envpool_and_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_SEARCH_SCREENINGS", ((2, 80.0), (4, 0.0)))
    watched = {"hold": 0.0, "eval_every": 256, "steps_limit": 700, "final_episodes": 0}
    search = Measurement(targets=(-1e6, 1e6), evaluate_on="envpool", **watched)
    result = training.train(Recipe("tiny", changes={**TINY, "n_timesteps": 2048}), 3, search)
    assert {target: reached["steps"] for target, reached in result["solved"].items()} == {"-1e+06": 256}
    # Ends at the first step beyond the limit; the schedules stretch over the whole budget.
    assert (result["steps"], result["budget"]) == (704, 2048)
    with pytest.raises(ValueError, match="evaluate_on='mars' must be"):
        Measurement(evaluate_on="mars")


def test_a_training_reports_its_targets_its_curve_and_its_final_tasks() -> None:
    result = training.train(Recipe("tiny", changes=TINY), 3, QUICK)
    # Reached at the first evaluation between two updates, at 256 steps; the other target is out of reach.
    assert result["solved"].keys() == {"-1e+06"}
    assert result["solved"]["-1e+06"]["steps"] == 256
    assert result["steps"] == 512
    assert result["final"]["n_episodes"] == 3
    assert set(result["split"]) == {"envs", "update", "rest"}
    assert result["seconds"] == pytest.approx(sum(result["split"].values()), abs=0.01)
    assert result["environments"].startswith("Environments: EnvPool, 4 x LunarLanderContinuous-v3")
    assert result["steps_per_second_with_evaluations"] <= result["steps_per_second"]
    json.dumps(result)


def test_the_zoos_own_evaluations_run_and_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ZOO_EVAL_FREQ", 256)
    result = training.train(Recipe("tiny", changes=TINY), 3, QUICK)
    assert result["zoo_evaluation_seconds"] > 0.0
    assert result["steps_per_second_with_evaluations"] < result["steps_per_second"]
    without = training.train(Recipe("tiny", changes=TINY), 3, Measurement(**{**vars(QUICK), "zoo_evaluations": False}))
    assert without["zoo_evaluation_seconds"] == 0.0


def test_the_zoos_own_evaluations_save_normalisation_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ZOO_EVAL_FREQ", 256)
    changes = {"n_steps": 64, "n_critic_updates": 1, "n_timesteps": 512}
    result = training.train(Recipe("the Zoo's trpo", config="zoo", algo="trpo", changes=changes), 3, QUICK)
    assert result["zoo_evaluation_seconds"] > 0.0
    assert result["split"]["envs"] > 0.0
    assert result["final"]["n_episodes"] == 3


def test_a_recipe_can_be_watched_in_its_own_way() -> None:
    quick = Measurement(targets=(1e6,), final_episodes=3).for_recipe(Recipe("x", watch={"targets": (1.0,)}))
    assert (quick.targets, quick.final_episodes) == ((1.0,), 3)
    with pytest.raises(ValueError, match="recipe x: watch has no target"):
        Measurement().for_recipe(Recipe("x", watch={"target": 1.0}))


def test_the_same_seed_measures_the_same_returns_and_another_seed_others() -> None:
    one, same, other = (training.train(Recipe("tiny", changes=TINY), seed, QUICK) for seed in (5, 5, 6))
    assert one["final"] == same["final"]
    assert one["final"] != other["final"]


def test_ars_is_trained_in_processes_as_the_zoos_command_does(zoo: Callable[..., str], tmp_path: Path) -> None:
    zoo("train --algo ars --env LunarLanderContinuous-v3 -n 12000 --eval-freq -1 --seed 3 -f logs")
    agent = Agent.load(tmp_path / "logs/ars/LunarLanderContinuous-v3_1")
    watched = replace(QUICK, targets=(), budget=12000, zoo_evaluations=False)
    result = training.train(Recipe("ars", config="ars", algo="ars"), 3, watched)
    assert result["final"] == evaluate(agent, fixed_tasks(V3_ID, 3, first_seed=watched.final_first_seed)).summary()


def test_the_clock_stops_while_the_policy_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate, offset, start = training.evaluate, [0.0], time.perf_counter()

    def slow_evaluate(*args: Any, **kwargs: Any) -> Any:
        offset[0] += 1000.0
        return evaluate(*args, **kwargs)

    clock = time.perf_counter
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock() + offset[0])
    monkeypatch.setattr(training, "evaluate", slow_evaluate)
    result = training.train(Recipe("tiny", changes=TINY), 3, QUICK)
    assert offset[0] >= 2000.0
    assert result["seconds"] <= clock() - start


@pytest.mark.parametrize(
    ("returns", "reached"),
    [
        ([150, 210, 220, 230], 20.0),  # the look at 30 is more than a tenth later, and holds too
        ([210, 190, 205, 230], 30.0),  # the first was a lucky crossing
        ([150, 160, 170, 210], None),  # nothing shows that the last one would have held
        ([210, 199, 210, 199], None),
        ([200, 200, 100, 100], 10.0),  # what comes later does not count
    ],
)
def test_a_target_is_reached_when_looks_hold_it_for_a_tenth_of_its_steps(
    returns: list[float], reached: float | None
) -> None:
    target = Target(200.0, 0.1)
    for steps, value in zip((10.0, 20.0, 30.0, 40.0), returns, strict=True):
        target.look({"steps": steps, "seconds": steps / 10}, value)
    assert target.reached == (None if reached is None else {"steps": reached, "seconds": reached / 10})


def test_looks_within_the_tenth_must_hold_too() -> None:
    target = Target(200.0, 0.1)
    for steps, value in ((100.0, 201.0), (105.0, 199.0), (110.0, 201.0), (120.0, 202.0), (121.0, 203.0)):
        target.look({"steps": steps}, value)
    assert target.reached == {"steps": 110.0}


def test_a_target_must_hold_in_a_real_training(monkeypatch: pytest.MonkeyPatch) -> None:
    held = training.train(Recipe("tiny", changes={**TINY, "n_timesteps": 1024}), 3, replace(QUICK, hold=0.1))
    # The looks at 256 and 512 hold; the training has no third one to need.
    assert held["solved"]["-1e+06"]["steps"] == 256
    short = training.train(Recipe("tiny", changes=TINY), 3, replace(QUICK, hold=0.1))
    assert short["solved"] == {}
    with pytest.raises(ValueError, match=r"hold=1\.0 must be a share of the steps"):
        Measurement(hold=1.0)


def test_until_solved_ends_the_training_at_the_last_target() -> None:
    quick = Measurement(targets=(-1e6,), hold=0.0, eval_every=1, final_episodes=0, until_solved=True)
    result = training.train(Recipe("tiny", changes=TINY), 3, quick)
    assert result["steps"] < 512
    assert result["budget"] == 512
    assert result["final"] is None


def test_a_recipe_changes_an_entry_and_leaves_the_rest() -> None:
    ours = Recipe("ours").entry("LunarLanderContinuous-v3")
    changed = Recipe("x", changes={"policy_kwargs": {"mirror": None}, "gamma": 0.9, "vec_env_wrapper": None}).entry(
        "LunarLanderContinuous-v3"
    )
    assert "mirror" in ours["policy_kwargs"]
    assert changed["policy_kwargs"] == {k: v for k, v in ours["policy_kwargs"].items() if k != "mirror"}
    assert changed["gamma"] == 0.9
    assert "vec_env_wrapper" not in changed
    assert changed["n_envs"] == ours["n_envs"]
    changes = {"replay_buffer_kwargs": {"mirror": None, "n_steps": 3}, "normalize": {"norm_obs": True}}
    buffer = Recipe("y", config="sac", algo="sac", changes=changes).entry("LunarLanderContinuous-v3")
    assert buffer["replay_buffer_kwargs"] == {"n_steps": 3, "gamma": 0.995}
    assert buffer["normalize"] == {"norm_obs": True, "norm_reward": True}


def test_the_zoos_own_entry_is_the_baseline() -> None:
    entry = Recipe("zoo", config="zoo").entry("LunarLanderContinuous-v3")
    assert entry["policy"] == "MlpPolicy"
    assert (entry["n_envs"], entry["n_steps"], entry["batch_size"]) == (16, 1024, 64)


def test_the_committed_recipes_name_entries_that_exist() -> None:
    for path in sorted((REPO / "scripts").glob("*recipes*.yml")):
        for recipe in benchmark.load_recipes([str(path)]):
            assert recipe.entry(Measurement().for_recipe(recipe).env_id)["n_timesteps"] > 0


def test_a_recipe_may_name_an_environment_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = str(REPO / "scripts" / "walker_recipes.yml")
    assert main(["benchmark", recipes]) == 2
    assert "--out FILE is missing" in capsys.readouterr().err, "its entry was found"
    results = benchmark.run(benchmark.load_recipes([recipes]), [], Measurement(), tmp_path / "r.json")
    assert results["recipes"]["walker"]["entry"]["policy_kwargs"]["mirror"] == "bipedal_walker"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- ours", "must map each recipe's name"),
        ("ours: {confg: ppo}", "keys among"),
    ],
)
def test_a_file_of_recipes_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        benchmark.load_recipes([str(tmp_path / "r.yml")])
    with pytest.raises(ValueError, match="a name of its own"):
        benchmark.load_recipes(["ppo", "ppo"])


def write_recipes(folder: Path) -> Path:
    path = folder / "recipes.yml"
    tinier = {**TINY, "n_timesteps": 256, "vec_env_wrapper": None}
    path.write_text(yaml.safe_dump({"a": {"changes": TINY}, "b": {"changes": tinier, "vec_env": "subproc"}}))
    return path


def test_the_command_alternates_goes_on_after_a_kill_and_repeats_nothing(tmp_path: Path) -> None:
    arguments = ["benchmark", str(write_recipes(tmp_path)), "--seeds", "2", "--out", str(tmp_path / "out.json")]
    arguments += ["--targets", "-1000000", "--final-episodes", "2", "--hold", "0", "--until-solved"]
    process = subprocess.Popen([sys.executable, "-m", "sb3_lander", *arguments], start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_gone(process.pid)
    before = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert 1 <= len(before) < 4
    done = subprocess.run([sys.executable, "-m", "sb3_lander", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["runs"][: len(before)] == before
    assert [(r["recipe"], r["seed"]) for r in results["runs"]] == [("a", 1000), ("b", 1000), ("a", 1001), ("b", 1001)]
    assert results["runs"][1]["environments"] == "gymnasium"
    assert results["machine"]["versions"]["stable-baselines3"]
    assert done.stdout.count("| a | 2 |") == 1
    # Another measurement or another recipe of the same name must not be mixed in.
    assert main([*arguments, "--eval-every", "77"]) == 2
    changed = yaml.safe_load((tmp_path / "recipes.yml").read_text())
    changed["a"]["changes"]["gamma"] = 0.5
    (tmp_path / "recipes.yml").write_text(yaml.safe_dump(changed))
    assert main(arguments) == 2


def made_up_results() -> dict[str, Any]:
    def made_up(name: str, seed: int, seconds: float | None, iqm: float) -> dict[str, Any]:
        solved = {} if seconds is None else {"200": {"steps": seconds * 1e4, "seconds": seconds}}
        final = {"iqm_return": iqm, "mean_return": iqm - 1, "success_rate": 0.99, "mean_length": 180.0}
        return {
            "recipe": name,
            "seed": seed,
            "solved": solved,
            "seconds": 40.0 + seed,
            "steps_per_second": 1e4,
            "final": final,
            "steps_per_second_with_evaluations": 9e3,
        }

    runs = [made_up("fast", i, float(i), 280 + i) for i in range(1, 6)]
    runs += [made_up("slow", i, 30.0 if i < 5 else None, 250 + i) for i in range(1, 6)]
    return {"measurement": {"targets": [200.0]}, "recipes": {"fast": {}, "slow": {}}, "runs": runs}


def test_the_summary_holds_medians_ratios_and_the_worst_seed() -> None:
    summary = benchmark.summary(made_up_results(), baseline="slow")
    assert summary["fast"]["seconds"]["200"].value == 3.0
    assert summary["fast"]["speedup"]["200"].value == 10.0
    assert summary["fast"]["worst_seconds"]["200"] == 5.0
    assert summary["slow"]["worst_seconds"]["200"] == math.inf
    assert summary["slow"]["solved"]["200"] == 4
    assert summary["fast"]["final_iqm"].value == pytest.approx((282 + 283 + 284) / 3)
    assert summary["fast"]["finished_seconds"].value == 43.0
    assert (summary["fast"]["worst_final"], summary["fast"]["worst_success"]) == (280.0, 0.99)


def test_the_table_has_a_row_for_each_recipe_and_as_many_cells_as_its_head() -> None:
    lines = benchmark.table(made_up_results(), baseline="slow").splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| never |" in lines[3]


def test_workers_of_a_cluster_share_a_benchmark_out(cluster: Cluster, tmp_path: Path) -> None:
    recipes = tmp_path / "recipes.yml"
    recipes.write_text(yaml.safe_dump({name: {"changes": {**TINY, "gamma": gamma}} for name, gamma in GAMMAS.items()}))
    for _ in range(4):
        cluster.start_worker()
    command = ["benchmark", str(recipes), "--seeds", "2", "--budget", "256", "--final-episodes", "2"]
    done = python("-m sb3_lander", *command, "--out many.json --cluster", cluster.file, cwd=tmp_path)
    assert done.status == 0, done.output
    many = json.loads((tmp_path / "many.json").read_text())
    trained = sorted((run["recipe"], run["seed"]) for run in many["runs"])
    assert trained == [(name, seed) for name in sorted(GAMMAS) for seed in (1000, 1001)]
    one = benchmark.run(
        benchmark.load_recipes([str(recipes)]), [1000], Measurement(**many["measurement"]), tmp_path / "one.json"
    )
    finals = {(run["recipe"], run["seed"]): run["final"] for run in many["runs"]}
    assert all(finals[run["recipe"], run["seed"]] == run["final"] for run in one["runs"])
    # Four workers have cores of their own only where there are four.
    shared = len(usable_cores()) < 4
    assert ("note: trainings shared cores" in done.output) == shared
    assert not any(run["shares_cores"] for run in one["runs"])
