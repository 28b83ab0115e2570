"""The search: what a trial is, what it is scored by, and the commands around it."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import optuna
import pytest
import requests
import yaml
from conftest import REPO, python, wait_until_gone
from optuna.storages import JournalStorage, RDBStorage
from optuna.trial import TrialState
from quick_search import TRIALS, Quick, quick_search

from sb3_lander.__main__ import main
from sb3_lander.benchmark import training
from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.tuning.search import Search, make_search
from sb3_lander.tuning.storage import open_storage
from sb3_lander.tuning.study import open_study, trial_seeds
from sb3_lander.tuning.trials import tune

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


class Here(Executor):
    """Does everything in this process, so that a test can put something else in place of a training."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def work_with(monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any], trials: int, **settings: Any) -> optuna.Study:
    """Search with something else than a training."""
    monkeypatch.setattr(training, "train", train)
    tune(search(**settings), "s", trials=trials, executor=Here(), sampler="random", progress=False)
    return optuna.load_study(study_name="s", storage=open_storage())


def returned(value: float) -> dict[str, Any]:
    return {"final": {"mean_return": value}, "solved": {}, "seconds": 10.0}


TUNE = "-m sb3_lander tune --study s --conf-file entry.yml --space space.yml --seeds 2 --budget 512"


def test_a_search_from_the_command_line_to_a_training_with_its_winner(tmp_path: Path) -> None:
    done = python(TUNE + " --trials 4 --workers 2", cwd=tmp_path)
    assert done.status == 0, done.output
    assert "study s: 4 trials complete, 0 pruned, 0 failed" in done.output
    study = optuna.load_study(study_name="s", storage=open_storage())
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    for trial in study.trials:
        assert trial.user_attrs["seeds"] == trial_seeds("s", trial.number, 2)
        assert trial.value == pytest.approx(sum(trial.user_attrs["scores"]) / 2)
        assert len(set(trial.user_attrs["scores"])) == 2
    # The entry's own; the others are the sampler's.
    assert [trial.params["learning_rate"] == 1.2e-3 for trial in study.trials] == [True, False, False, False]
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
    assert errors == "sb3_lander: interrupted; what was finished is kept\n"
    wait_until_gone(process.pid)
    before = trials()
    assert [trial.state for trial in before] == [TrialState.RUNNING] * 2
    seen: list[str] = []

    def train(recipe: Recipe, *_: Any) -> dict[str, Any]:
        seen.append(recipe.name)
        return returned(1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", train)
        tune(search(seeds=2, budget=200_000), "s", trials=3, executor=Here(), progress=False)
    assert seen == ["trial 0", "trial 0", "trial 1", "trial 1", "trial 2", "trial 2"]
    assert [trial.state for trial in trials()] == [TrialState.COMPLETE] * 3
    assert [trial.params for trial in trials()[:2]] == [trial.params for trial in before]


def test_the_trainings_end_with_a_command_that_is_killed() -> None:
    with running_search() as process:
        process.kill()
    wait_until_gone(process.pid)
    assert [trial.state for trial in trials()] == [TrialState.RUNNING] * 2


@contextlib.contextmanager
def running_search() -> Iterator[subprocess.Popen[str]]:
    """Start a search, and wait until trials are under way."""
    # Two hundred thousand steps take long enough to be interrupted.
    command = [sys.executable, *TUNE.split(), "--trials", "3", "--workers", "2", "--budget", "200000"]
    # Tests that run in a script's background ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and sum("seeds" in t.user_attrs for t in trials()) < 2:
            time.sleep(0.1)
        yield process


def trials() -> list[optuna.trial.FrozenTrial]:
    storage = open_storage()
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


def test_finished_seeds_are_not_trained_again_and_the_parameters_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, Any]] = []

    def train(recipe: Recipe, seed: int, _: Any) -> dict[str, Any]:
        seen.append((seed, recipe.changes["learning_rate"]))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return returned(float(len(seen)))

    with pytest.raises(KeyboardInterrupt):
        work_with(monkeypatch, train, 1)
    (trial,) = work_with(monkeypatch, train, 1).trials
    seeds = trial_seeds("s", 0, 3)
    assert [seed for seed, _ in seen] == [seeds[0], seeds[1], seeds[1], seeds[2]]
    assert len({learning_rate for _, learning_rate in seen}) == 1
    assert trial.user_attrs["seeds"] == seeds
    assert trial.value == pytest.approx((1.0 + 3.0 + 4.0) / 3)


def test_a_command_killed_while_it_notes_a_result_loses_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two writes to the storage."""
    seen: list[int] = []

    def train(_: Recipe, seed: int, __: Any) -> dict[str, Any]:
        seen.append(seed)
        return returned(float(seed % 100))

    writes = [0]
    for name in (
        "create_new_trial",
        "set_trial_param",
        "set_trial_user_attr",
        "set_trial_intermediate_value",
        "set_trial_state_values",
    ):
        method = getattr(JournalStorage, name)

        def dying(*args: Any, method: Callable[..., Any] = method, **kwargs: Any) -> Any:
            writes[0] += 1
            if writes[0] == 2:
                raise KeyboardInterrupt
            return method(*args, **kwargs)

        monkeypatch.setattr(JournalStorage, name, dying)
    deaths = 0
    while True:
        writes[0] = 0
        with contextlib.suppress(KeyboardInterrupt):
            study = work_with(monkeypatch, train, 2)
            break
        deaths += 1
    assert deaths > 10
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    seeds = [*trial_seeds("s", 0, 3), *trial_seeds("s", 1, 3)]
    # One more where the command died before it had noted anything of it.
    assert sorted(set(seen)) == sorted(seeds)
    assert [trial.user_attrs["scores"] for trial in study.trials] == [
        [float(seed % 100) for seed in trial_seeds("s", number, 3)] for number in (0, 1)
    ]


def test_an_error_fails_its_trial_and_ends_the_command_but_not_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(recipe: Recipe, *_: Any) -> dict[str, Any]:
        if recipe.name == "trial 0":
            raise ChildProcessError("a worker process ended early, 4 times over")
        return returned(1.0)

    with pytest.raises(ChildProcessError, match="4 times over"):
        work_with(monkeypatch, train, 2)
    study = work_with(monkeypatch, train, 2)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[0].user_attrs["error"] == "ChildProcessError: a worker process ended early, 4 times over"


# Not qmc's, whose sequence goes on in the study.
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_trial_that_is_interrupted_between_two_draws_draws_the_same(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(storage: str) -> list[dict[str, Any]]:
        options: dict[str, Any] = {"executor": Here(), "sampler": sampler, "pruner": "none", "progress": False}
        tune(search(), "s", storage=storage, trials=12, **options)
        study = optuna.load_study(study_name="s", storage=open_storage(storage))
        return [trial.params for trial in study.trials]

    def interrupted(trial: optuna.Trial, *arguments: Any) -> Any:
        if trial.number not in cut:
            cut.add(trial.number)
            assert list(trial.storage.get_trial(trial._trial_id).params) == ["learning_rate"]
            raise KeyboardInterrupt
        return whole(trial, *arguments)

    monkeypatch.setattr(training, "train", lambda *_: returned(1.0))
    calm, cut = drawn("calm.log"), set[int]()
    whole = optuna.Trial.suggest_categorical
    monkeypatch.setattr(optuna.Trial, "suggest_categorical", interrupted)
    for _ in range(12):
        with pytest.raises(KeyboardInterrupt):
            drawn("cut.log")
    assert drawn("cut.log") == calm


def test_with_hours_alone_the_study_grows_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any) -> dict[str, Any]:
        time.sleep(0.05)
        return returned(1.0)

    monkeypatch.setattr(training, "train", train)
    progress = tune(search(), "s", hours=1.0 / 3600, executor=Here(), pruner="none", progress=False)
    study = optuna.load_study(study_name="s", storage=open_storage())
    assert progress.complete == len(study.trials) > 1
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def outcome(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.params, trial.value, trial.user_attrs["seeds"]) for trial in study.trials]


@pytest.mark.parametrize("kind", ["journal", "postgres", "cluster"])
def test_nothing_is_lost_or_done_twice_when_anything_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("server") if kind == "postgres" else None
    cluster = request.getfixturevalue("cluster") if kind == "cluster" else None
    url = server.url if server else str(tmp_path / "disturbed.log")
    folder = tmp_path / "trainings"
    folder.mkdir()
    command = [sys.executable, str(REPO / "tests" / "quick_search.py"), url, str(folder)]
    if cluster:
        command.append(str(cluster.file))
        for _ in range(3):
            cluster.start_worker()

    def done(count: int) -> None:
        until = time.monotonic() + 240
        while len(list(folder.glob("done.*"))) < count:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)

    chance = random.Random(5)
    # Before 3.13 a fork server imports ahead only what it finds on its own path, and each item would import all anew.
    path = os.pathsep.join(filter(None, [str(REPO / "tests"), os.environ.get("PYTHONPATH")]))
    start = functools.partial(
        subprocess.Popen, command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
    )
    process = start()
    for disturbance in range(8):
        done(8 * (disturbance + 1))
        if disturbance in (2, 5):
            process.kill()
            process.wait()
            wait_until_gone(process.pid)
            process = start()
        elif disturbance == 4 and server:
            server.stop()
            server.start()
        elif disturbance == 4 and cluster:
            cluster.kill_scheduler()
            cluster.restart_scheduler()
            for _ in range(3):
                cluster.start_worker()
        elif cluster:
            cluster.kill_worker(chance.choice(cluster.workers))
            cluster.start_worker()
        else:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(int(chance.choice(list(folder.glob("running.*"))).suffix[1:]), signal.SIGKILL)
    assert process.wait(timeout=240) == 0
    wait_until_gone(process.pid)

    calm = str(tmp_path / "calm.log")
    done_here = Quick(Here(), str(folder))
    tune(
        quick_search(),
        "s",
        storage=calm,
        trials=TRIALS,
        executor=done_here,
        sampler="random",
        pruner="none",
        progress=False,
    )
    storage = open_storage(url)
    study = optuna.load_study(study_name="s", storage=storage)
    assert len(study.trials) == TRIALS
    assert outcome(study) == outcome(optuna.load_study(study_name="s", storage=open_storage(calm)))
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def gammas(sampler: str, trials: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Search for a gamma of 0.97, and return those that were tried."""

    def train(recipe: Recipe, *_: Any) -> dict[str, Any]:
        return returned(-abs(recipe.changes.get("gamma", 0.95) - 0.97))

    monkeypatch.setattr(training, "train", train)
    tune(quick_search(), "s", trials=trials, executor=Here(), sampler=sampler, pruner="none", progress=False)
    return [t.params["gamma"] for t in optuna.load_study(study_name="s", storage=open_storage()).trials]


def test_cma_es_closes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [abs(gamma - 0.97) for gamma in gammas("cmaes", 60, monkeypatch)]
    assert max(tried[-10:]) < 0.01 < max(tried[:20])


def test_cma_es_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ImportError, match=r"^the sampler 'cmaes' needs .*: pip install cmaes$"):
        gammas("cmaes", 1, monkeypatch)


def test_a_quasi_random_search_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first is the entry. Sixteen of Sobol's points lie in sixteen equal parts, most of them where theirs begins.
    tried = gammas("qmc", 17, monkeypatch)[1:]
    assert len({int((gamma - 0.9) / 0.099 * 16 + 1e-6) for gamma in tried}) == 16


def test_optunas_dashboard_shows_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    gammas("random", 3, monkeypatch)
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), "sb3_lander.log", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as dashboard:
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    studies = requests.get(f"http://127.0.0.1:{port}/api/studies", timeout=10).json()
                    break
                except requests.ConnectionError:
                    assert dashboard.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.2)
            study = studies["study_summaries"][0]
            shown = requests.get(f"http://127.0.0.1:{port}/api/studies/{study['study_id']}", timeout=10).json()
        finally:
            dashboard.kill()
    assert study["study_name"] == "s"
    assert [trial["state"] for trial in shown["trials"]] == ["Complete"] * 3


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
        ("--study s --trials 2 --workers 0", "workers=0 must be at least 1"),
        ("--study s --trials 2 --seeds 0", "seeds=0 and budget=None must be at least 1"),
        ("--study s --trials 2 --algo pppo", "algorithm 'pppo' is unknown, choose one of"),
        ("--study s --trials 2 --algo dqn", f"dqn.yml has no entry for {V3}; it has: LunarLander-v3, LunarLander-v2"),
        ("--study s --trials 2 --env Pendulum-v1", "has no entry for Pendulum-v1"),
        ("--study s --trials 2 --objective speed", "objective 'speed' is unknown, choose one of return, time-to-solve"),
        ("--study s --trials 2 --sampler guess", "sampler 'guess' is unknown, choose one of tpe"),
        ("--study s --trials 2 --pruner axe", "pruner 'axe' is unknown, choose one of median"),
        ("--study s --trials 2 --space none.yml", "no search space none.yml"),
        ("--study s --trials 2 --space empty.yml", "must map hyperparameters to ranges"),
        ("--study s --trials 2 --space wrong.yml", "unknown hyperparameter 'learning_rat' for PPO: did you mean"),
        ("--study s --trials 2 --space high.yml", "gamma: 1.5 is not valid, it must be between 0 and 1"),
        ("--study s --trials 2 --space policy.yml", "log_std_init=3.0 lies outside log_std_bounds"),
        ("--study s --trials 2 --storage nonsense://host/db", "give a journal file's path, or postgresql://"),
        ("--study s --trials 2 --storage nowhere/s.log", "no folder nowhere for the journal s.log"),
        ("--study s --trials 2 --storage space.yml", "space.yml is not a journal of Optuna"),
        ("--study s --trials 2 --storage postgresql://nobody@127.0.0.1:1/db", "cannot use the database"),
        ("--study s --trials 2 --workers 2 --cluster tcp://h:1", "the cluster tcp://h:1 knows itself how much"),
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
    store = open_storage("study.log")
    open_study(store, "s", search())
    open_study(store, "s", search())
    with pytest.raises(ValueError, match="is another search: its seeds 3, not 5: choose another --study"):
        open_study(store, "s", search(seeds=5))
    a2c = Search(**{**vars(search()), "algo": "a2c"})
    with pytest.raises(ValueError, match="its algo 'ppo', not 'a2c'"):
        open_study(store, "s", a2c)
    optuna.create_study(study_name="foreign", storage=store)
    with pytest.raises(ValueError, match="was not made by `sb3_lander tune`"):
        open_study(store, "foreign")


def test_a_study_without_complete_trials_has_no_top(capsys: pytest.CaptureFixture[str]) -> None:
    open_study(open_storage(), "s", search())
    for verb in ("top", "show"):
        assert main(["tune", verb, "--study", "s"]) == 2
        assert "has no complete trial" in capsys.readouterr().err
