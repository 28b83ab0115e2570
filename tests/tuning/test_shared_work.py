"""SharedWork: every piece is done exactly once, whoever is killed and whenever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from conftest import REPO
from optuna.trial import TrialState
from postgres import Server, find_binaries

from sb3_lander.tuning.shared_work import ERROR, ITEM, SharedWork, earlier_attempts, make_once
from sb3_lander.tuning.storage import Store, open_store

PIECES, WORKERS, KILLS = 40, 4, 12
NewWork = Callable[..., SharedWork]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if find_binaries() is None and "CI" not in os.environ:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    # Not under pytest's own folder, which nobody else may enter.
    import tempfile

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        server = Server(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["journal", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "journal":
        return str(tmp_path / "study.log")
    return request.getfixturevalue("server").url + "?heartbeat=1&grace=4"


@pytest.fixture
def new_work(url: str) -> Iterator[Callable[..., SharedWork]]:
    """Return ``new_work(name)``: a study with pieces that nobody has taken yet."""
    with open_store(url) as store:

        def made(name: str, pieces: int = PIECES) -> SharedWork:
            work = SharedWork(store, optuna.create_study(study_name=name, storage=store.storage))
            work.fill(range(pieces))
            return work

        yield made


def start(url: str, name: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(REPO / "tests" / "share_work.py"), url, name, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def check(work: SharedWork, folder: Path) -> None:
    """Every piece is complete once, with the parameters it had at first."""
    progress = work.progress()
    assert (progress.total, progress.complete, progress.running) == (PIECES, PIECES, 0)
    trials = work.study.get_trials()
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert sorted(trial.user_attrs[ITEM] for trial in complete) == list(range(PIECES))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    for trial in complete:
        assert trial.user_attrs["steps"] == [trial.params["x"]] * 3
        for number in earlier_attempts(trial):
            earlier = trials[number]
            assert earlier.state is TrialState.FAIL
            assert earlier.params in ({}, trial.params)
    # A worker killed after it had told the study left no file; none left two.
    done = [int(file.name.split(".")[0]) for file in folder.iterdir()]
    assert len(set(done)) == len(done)
    assert PIECES - KILLS <= len(done) <= PIECES


def test_nothing_is_lost_or_done_twice_when_workers_are_killed(
    url: str, new_work: NewWork, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    work = new_work("killed")
    chance = random.Random(5)
    workers = [start(url, "killed", folder) for _ in range(WORKERS)]
    for kill in range(KILLS):
        time.sleep(chance.uniform(0.2, 1.2))
        number = chance.randrange(WORKERS)
        workers[number].send_signal(signal.SIGKILL)
        workers[number].wait()
        workers[number] = start(url, "killed", folder)
        if kill == KILLS // 2 and url.startswith("postgresql"):
            server = request.getfixturevalue("server")
            server.stop()
            time.sleep(1.0)
            server.start()
    assert [worker.wait(timeout=120) for worker in workers] == [0] * WORKERS
    check(work, folder)
    assert work.progress().retried > 0


def test_workers_without_accidents_share_the_pieces(url: str, new_work: NewWork, tmp_path: Path) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    work = new_work("calm")
    workers = [start(url, "calm", folder) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    check(work, folder)
    assert work.progress().retried == 0
    assert len({trial.user_attrs["worker"] for trial in work.study.get_trials()}) == 2


def test_filling_again_adds_only_what_is_missing(new_work: NewWork) -> None:
    work = new_work("filled", 3)
    work.fill(range(3))
    assert work.progress().total == 3
    work.fill(range(5))
    assert work.progress().total == 5
    work.grow()
    assert work.progress().total == 5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "study.log")) as store:
        store.sign_in()
        yield store


@pytest.fixture
def work(store: Store) -> SharedWork:
    work = SharedWork(store, optuna.create_study(study_name="study", storage=store.storage))
    work.fill([0])
    return work


def test_a_study_that_its_killed_maker_left_empty_is_completed_once(store: Store) -> None:
    studies = {name: optuna.create_study(study_name=name, storage=store.storage) for name in ("empty", "foreign")}
    studies["foreign"].enqueue_trial({})
    for name in studies:
        make_once(store, name, "purpose", {"x": 1})
    make_once(store, "empty", "purpose", {"x": 2})
    assert studies["empty"].user_attrs == {"purpose": {"x": 1}}
    assert studies["foreign"].user_attrs == {}


def test_an_interrupted_piece_waits_again_with_what_it_had(work: SharedWork) -> None:
    taken = work.take(lambda trial: trial.suggest_float("x", 0.0, 1.0))
    assert taken is not None
    taken[0].set_user_attr("scores", [1.5])
    with pytest.raises(KeyboardInterrupt), work.hold(taken[0]):
        raise KeyboardInterrupt
    again = work.take(lambda trial: trial.suggest_float("x", 0.0, 1.0))
    assert again is not None
    assert again[1] == taken[1]
    assert again[0].user_attrs["scores"] == [1.5]
    assert work.progress().retried == 1
    assert work.take(lambda trial: None) is None


def test_a_piece_that_fails_by_its_own_fault_is_not_retried(work: SharedWork) -> None:
    taken = work.take(lambda trial: None)
    assert taken is not None
    with pytest.raises(ZeroDivisionError), work.hold(taken[0]):
        raise ZeroDivisionError("no")
    progress = work.progress()
    assert (progress.failed, progress.finished, progress.retried) == (1, 1, 0)
    assert work.study.trials[0].user_attrs[ERROR] == "ZeroDivisionError: no"
    assert work.take(lambda trial: None) is None


def test_a_worker_that_was_given_up_does_not_count_what_it_found(work: SharedWork) -> None:
    taken = work.take(lambda trial: None)
    assert taken is not None
    with work.hold(taken[0]):
        # As somebody else would who thinks it lost.
        work.study.tell(taken[0].number, state=TrialState.FAIL)
        work.retry_lost()
        taken[0].set_user_attr("scores", [1.0])
        raise AssertionError("the piece is not this worker's any more")
    assert [trial.state for trial in work.study.get_trials()] == [TrialState.FAIL, TrialState.WAITING]


def test_a_piece_killed_before_it_got_a_name_is_retried(work: SharedWork) -> None:
    work.study.ask()
    assert work.progress().running == 1
    assert work.take(lambda trial: None) is not None
    assert work.progress().retried == 1
