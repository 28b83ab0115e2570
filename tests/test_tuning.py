"""The search: what a trial is, what it is scored by, and the commands around it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from conftest import python, wait_until_gone
from optuna.trial import TrialState

from sb3_lander import tuning
from sb3_lander.cli import main
from sb3_lander.recipes import Recipe
from sb3_lander.search import Search, make_search
from sb3_lander.shared_work import SharedWork
from sb3_lander.storages import open_store
from sb3_lander.tuning import open_study, trial_seeds, tune

V3 = "LunarLanderContinuous-v3"
TINY = {"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1, "n_timesteps": 512, "callback": None}
SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "as": "linear_schedule"},
    "policy_kwargs.net_arch": {"choices": {"small": [8], "large": [16]}},
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder with an entry that trains in a second and a space around it."""
    monkeypatch.chdir(tmp_path)
    Path("entry.yml").write_text(yaml.safe_dump({V3: Recipe("x", changes=TINY).entry(V3)}))
    Path("space.yml").write_text(yaml.safe_dump(SPACE))


def search(**settings: Any) -> Search:
    return make_search("ppo", V3, config="entry.yml", space="space.yml", **{"seeds": 3, **settings})


def work_with(monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any], trials: int, **settings: Any) -> optuna.Study:
    """Be the only worker, with something else than a training."""
    monkeypatch.setattr(tuning, "train", train)
    store = open_store("study.log")
    study, _ = open_study(store, "s", search(**settings))
    SharedWork(store, study).fill(range(trials))
    tuning._work("study.log", "s", "random", "median", 0, None, False)
    return study


def returned(value: float) -> dict[str, Any]:
    return {"final": {"mean_return": value}, "solved": {}, "seconds": 10.0}


TUNE = "-m sb3_lander tune --study s --conf-file entry.yml --space space.yml --seeds 2 --budget 512"


def test_a_search_from_the_command_line_to_a_training_with_its_winner(tmp_path: Path) -> None:
    done = python(TUNE + " --trials 4 --workers 2", cwd=tmp_path)
    assert done.status == 0, done.output
    assert "study s: 4 trials complete, 0 pruned, 0 failed, 0 times retried" in done.output
    study = optuna.load_study(study_name="s", storage=open_store("sb3_lander.log").storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    for trial in study.trials:
        assert trial.user_attrs["seeds"] == trial_seeds("s", trial.number, 2)
        assert trial.value == pytest.approx(sum(trial.user_attrs["scores"]) / 2)
        assert len(set(trial.user_attrs["scores"])) == 2
    # The entry's own; the others are the sampler's.
    assert [trial.params["learning_rate"] == 1.8e-3 for trial in study.trials] == [True, False, False, False]
    assert len({seed for trial in study.trials for seed in trial.user_attrs["seeds"]}) == 8

    again = python(TUNE + " --trials 4", cwd=tmp_path)
    assert "4 trials complete" in again.output
    assert len(study.get_trials()) == 4

    top = python("-m sb3_lander tune top --study s --candidates 1 --seeds 2 --jobs 2", cwd=tmp_path)
    assert top.status == 0, top.output
    assert f"trial {study.best_trial.number} " in top.output
    assert "entry " in top.output
    winner = Path("s.yml").read_text()
    assert "Provenance: " in winner
    assert "Judged on the fresh seeds 500 to 501" in winner
    entry = yaml.safe_load(winner)[V3]
    train = f"-m rl_zoo3.train --algo ppo --env {V3} --conf-file s.yml -n 256 --eval-freq -1"
    trained = python(train, cwd=tmp_path)
    assert trained.status == 0, trained.output
    used = (tmp_path / f"logs/ppo/{V3}_1/{V3}/config.yml").read_text()
    assert str(entry["learning_rate"]) in used

    shown = python("-m sb3_lander tune show --study s", cwd=tmp_path)
    assert shown.status == 0, shown.output
    assert "4 trials: 4 complete" in shown.output
    assert all(picture.stat().st_size > 5000 for picture in Path("s_plots").glob("*.png"))
    pictures = {picture.name for picture in Path("s_plots").iterdir()}
    assert pictures >= {f"{name}.{kind}" for name in ("optimization_history", "slice") for kind in ("png", "html")}


def test_ctrl_c_stops_cleanly_and_the_next_call_goes_on(tmp_path: Path) -> None:
    with running_search() as process:
        os.killpg(process.pid, signal.SIGINT)
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "sb3_lander: interrupted; what was finished is kept"
    assert "Traceback" not in errors
    states = [trial.state for trial in trials()]
    assert states.count(TrialState.WAITING) == 3
    assert set(states) == {TrialState.WAITING, TrialState.FAIL}


def test_workers_give_back_their_trials_when_the_command_is_killed(tmp_path: Path) -> None:
    with running_search() as process:
        process.kill()
    wait_until_gone(process.pid)
    states = [trial.state for trial in trials()]
    assert states.count(TrialState.WAITING) == 3
    assert set(states) == {TrialState.WAITING, TrialState.FAIL}


@contextlib.contextmanager
def running_search() -> Iterator[subprocess.Popen[str]]:
    """Start a search, and wait until trials are under way."""
    # Two hundred thousand steps take long enough to be interrupted.
    command = [sys.executable, *TUNE.split(), "--trials", "3", "--workers", "2", "--budget", "200000"]
    # Tests that run in a script's background ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and not any(t.state is TrialState.RUNNING for t in trials()):
            time.sleep(0.5)
        time.sleep(1.0)
        yield process


def trials() -> list[optuna.trial.FrozenTrial]:
    storage = open_store("sb3_lander.log").storage
    if "s" not in optuna.study.get_all_study_names(storage):
        return []
    return optuna.load_study(study_name="s", storage=storage).get_trials()


def test_a_trial_is_the_mean_over_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 2.0, 6.0, 4.0, 4.0, 4.0])
    study = work_with(monkeypatch, lambda *_: returned(next(values)), 2)
    assert [trial.value for trial in study.trials] == [3.0, 4.0]
    assert study.best_value == 4.0
    assert study.trials[0].intermediate_values == {0: 1.0, 1: 1.5, 2: 3.0}
    assert study.trials[0].user_attrs["scores"] == [1.0, 2.0, 6.0]


def test_time_to_solve_is_a_geometric_mean_and_never_counts_twice_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([{"solved": {"200": {"seconds": 5.0}}, "seconds": 5.1}, {"solved": {}, "seconds": 10.0}])
    study = work_with(monkeypatch, lambda *_: next(results), 1, seeds=2, objective="time-to-solve")
    assert study.trials[0].value == pytest.approx((5.0 * 20.0) ** 0.5)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    watched = search(objective="time-to-solve", target=250.0).measurement()
    assert (watched.targets, watched.until_solved, watched.final_episodes) == ((250.0,), True, 0)
    quick = search(objective="time-to-solve", evaluate_on="envpool", steps_limit=1000).measurement()
    assert (quick.evaluate_on, quick.steps_limit) == ("envpool", 1000)


def test_hopeless_trials_end_after_their_first_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def train(recipe: Recipe, seed: int, _: Any) -> dict[str, Any]:
        seen.append(seed)
        return returned(-100.0 if recipe.name == "trial 7" else 100.0)

    study = work_with(monkeypatch, train, 8)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 7 + ["PRUNED"]
    assert study.trials[7].user_attrs["scores"] == [-100.0]
    assert len(seen) == 7 * 3 + 1


def test_hyperparameters_that_do_not_work_do_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(recipe: Recipe, *_: Any) -> dict[str, Any]:
        if recipe.name == "trial 0":
            raise ValueError("the policy's output is NaN")
        return returned(1.0)

    study = work_with(monkeypatch, train, 2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "COMPLETE"]
    assert study.trials[0].user_attrs["fault"] == "ValueError: the policy's output is NaN"


def test_what_a_lost_worker_had_trained_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, Any]] = []

    def train(recipe: Recipe, seed: int, _: Any) -> dict[str, Any]:
        seen.append((seed, recipe.changes["learning_rate"]))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return returned(float(len(seen)))

    with pytest.raises(SystemExit):
        work_with(monkeypatch, train, 1)
    tuning._work("study.log", "s", "random", "median", 1, None, False)
    (_, retried) = open_study(open_store("study.log"), "s")[0].trials
    seeds = trial_seeds("s", 0, 3)
    assert [seed for seed, _ in seen] == [seeds[0], seeds[1], seeds[1], seeds[2]]
    assert len({learning_rate for _, learning_rate in seen}) == 1
    assert retried.user_attrs["seeds"] == seeds
    assert retried.value == pytest.approx((1.0 + 3.0 + 4.0) / 3)


def test_with_hours_alone_the_study_grows_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "train", lambda *_: returned(1.0))
    store = open_store("study.log")
    study, _ = open_study(store, "s", search())
    tuning._work("study.log", "s", "random", "none", 0, 1.0, True)
    assert len(study.trials) > 1
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_seeds_follow_from_the_study_and_the_trial() -> None:
    assert trial_seeds("s", 3, 2) == trial_seeds("s", 3, 5)[:2]
    assert len({*trial_seeds("s", 3, 9), *trial_seeds("s", 4, 9), *trial_seeds("t", 3, 9)}) == 27
    assert min(trial_seeds("s", 3, 9)) >= 1_000_000


def test_a_trials_recipe_is_the_entry_with_its_changes() -> None:
    recipe = search().recipe("trial 1", {"gamma": 0.9, "policy_kwargs": {"net_arch": [8]}})
    entry = yaml.safe_load(Path("entry.yml").read_text())[V3]
    expected = {**entry, "gamma": 0.9, "policy_kwargs": {**entry["policy_kwargs"], "net_arch": [8]}}
    assert recipe.entry(V3) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "tune needs --study NAME"),
        ("--study s", "tune needs --trials N or --hours H"),
        ("--study s --trials 0", "trials=0 and hours=None must be positive"),
        ("--study s --trials 2 --workers 0", "workers=0, trials=2"),
        ("--study s --trials 2 --seeds 0", "seeds=0 and budget=None must be at least 1"),
        ("--study s --trials 2 --algo pppo", "algorithm 'pppo' is unknown, choose one of"),
        ("--study s --trials 2 --algo dqn", "no hyperparameters for 'dqn'"),
        ("--study s --trials 2 --env Pendulum-v1", "has no entry for Pendulum-v1"),
        ("--study s --trials 2 --objective speed", "objective 'speed' is unknown, choose one of return, time-to-solve"),
        ("--study s --trials 2 --sampler guess", "sampler 'guess' is unknown, choose one of tpe"),
        ("--study s --trials 2 --pruner axe", "pruner 'axe' is unknown, choose one of median"),
        ("--study s --trials 2 --space none.yml", "no search space none.yml"),
        ("--study s --trials 2 --space empty.yml", "must map hyperparameters to ranges"),
        ("--study s --trials 2 --space wrong.yml", "unknown hyperparameter 'learning_rat' for PPO: did you mean"),
        ("--study s --trials 2 --space high.yml", "gamma: 1.5 is not valid, it must be between 0 and 1"),
        ("--study s --trials 2 --space policy.yml", "log_std_init=3.0 lies outside log_std_bounds"),
        ("--study s --trials 2 --storage mysql://host/db", "give a journal file's path, or postgresql://"),
        ("--study s --trials 2 --storage nowhere/s.log", "no folder nowhere for the journal s.log"),
        ("--study s --trials 2 --storage space.yml", "space.yml is not a journal of Optuna"),
        ("--study s --trials 2 --storage postgresql://nobody@127.0.0.1:1/db", "cannot use the database"),
        ("--study s --trials 2 --storage postgresql://h/d?grace=x", "is no database URL"),
        ("--study s --trials 2 --storage postgresql://h/d?grace=3", "heartbeat=15 must be at least 1, and grace=3"),
        ("top --study s", "there is no study 's'; there are: none"),
        ("show --study s", "there is no study 's'; there are: none"),
    ],
)
def test_a_mistake_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yml").write_text("{}")
    Path("wrong.yml").write_text("learning_rat: {low: 0.1, high: 0.2}")
    Path("high.yml").write_text("gamma: {low: 0.9, high: 1.5}")
    Path("policy.yml").write_text("policy_kwargs.log_std_init: {low: 0.0, high: 3.0}")
    assert main(["tune", *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_study_is_only_joined_by_the_same_search() -> None:
    store = open_store("study.log")
    open_study(store, "s", search())
    open_study(store, "s", search())
    with pytest.raises(ValueError, match="is another search: its seeds 3, not 5: choose another --study"):
        open_study(store, "s", search(seeds=5))
    a2c = Search(**{**vars(search()), "algo": "a2c"})
    with pytest.raises(ValueError, match="its algo 'ppo', not 'a2c'"):
        open_study(store, "s", a2c)
    optuna.create_study(study_name="foreign", storage=store.storage)
    with pytest.raises(ValueError, match="was not made by `sb3_lander tune`"):
        open_study(store, "foreign")


def test_a_study_without_complete_trials_has_no_top(capsys: pytest.CaptureFixture[str]) -> None:
    open_study(open_store("sb3_lander.log"), "s", search())
    for verb in ("top", "show"):
        assert main(["tune", verb, "--study", "s"]) == 2
        assert "has no complete trial" in capsys.readouterr().err


def test_a_worker_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_work", broken_worker)
    with pytest.raises(ChildProcessError, match=r"1 of 1 workers ended early \(exit codes \[3\]\)"):
        tune(search(), "s", trials=1, progress=False)


def broken_worker(*_: Any) -> None:
    """End as a worker does that cannot go on."""
    sys.exit(3)
