"""A Dask cluster of real processes on this machine: workers and scheduler that die, and mistakes in one line."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from conftest import python, wait_until_gone
from dask_cluster import Cluster
from test_parallel import describe, fail, note, wait_for, wait_for_ever

from sb3_lander.envs.cores import usable_cores
from sb3_lander.parallel import ProcessExecutor, run
from sb3_lander.parallel.cluster import ClusterError, ClusterExecutor, _share_out, open_executor


def slowly(folder: Path, number: int) -> int:
    (folder / f"begun.{number}.{os.getppid()}").touch()
    time.sleep(1.0)
    (folder / f"done.{number}").touch()
    return number


def test_work_survives_its_workers_and_the_scheduler(cluster: Cluster, tmp_path: Path) -> None:
    for _ in range(2):
        cluster.start_worker()
    done = []
    with ClusterExecutor(str(cluster.file)) as executor:
        for (_, number), future in run(executor, slowly, [(tmp_path, number) for number in range(8)]):
            done.append((number, future.result()))
            if len(done) == 1:
                cluster.start_worker()
                cluster.kill_worker(cluster.workers[0])
            if len(done) == 4:
                cluster.kill_scheduler()
                cluster.restart_scheduler()
                cluster.start_worker()
    assert sorted(done) == [(number, number) for number in range(8)]


def test_each_item_has_a_fresh_process_and_workers_of_a_machine_share_out_its_cores(cluster: Cluster) -> None:
    for _ in usable_cores():
        cluster.start_worker()
    with ClusterExecutor(str(cluster.file)) as executor:
        wait_for(lambda: executor.workers == len(usable_cores()))
        results = [future.result() for _, future in run(executor, describe, [(i,) for i in range(4)])]
    assert sorted(number for number, *_ in results) == [0, 1, 2, 3]
    assert len({process for _, process, *_ in results}) == 4
    assert all(len(own) == 1 and not shared for *_, own, shared in results)
    assert len({tuple(own) for *_, own, _ in results}) == min(4, len(usable_cores()))


def test_what_nobody_wants_any_more_ends(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker()
    with ClusterExecutor(str(cluster.file)) as executor:
        executor.submit(wait_for_ever, tmp_path)
        wait_for(lambda: any(tmp_path.glob("waits.*")))
    (file,) = tmp_path.glob("waits.*")
    wait_for(lambda: not Path("/proc", file.suffix[1:]).exists())
    assert worker.poll() is None
    # The worker takes other work, and what it does then ends with it.
    with ClusterExecutor(str(cluster.file)) as executor:
        executor.submit(wait_for_ever, tmp_path)
        wait_for(lambda: len(list(tmp_path.glob("waits.*"))) == 2)
        worker.send_signal(signal.SIGKILL)
        wait_until_gone(worker.pid)


def test_errors_come_back_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker()
    with ClusterExecutor(str(cluster.file)) as executor:
        with pytest.raises(ZeroDivisionError, match="by its own fault"):
            executor.submit(fail, 0).result()
        with pytest.raises(ChildProcessError, match="ended early, 4 times over"):
            executor.submit(note, tmp_path, "bad", 99).result()


def test_a_worker_with_another_version_is_named(cluster: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "sb3_lander-9.9.dist-info").mkdir(parents=True)
    (other / "sb3_lander-9.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sb3-lander\nVersion: 9.9\n"
    )
    path = os.pathsep.join([str(other), *sys.path])
    cluster.start_worker(env={"PYTHONPATH": path})
    with ClusterExecutor(str(cluster.file)) as executor:
        message = r"the worker tcp://.* has sb3-lander 9\.9, not 0\.\d.*: it needs what the command has"
        with pytest.raises(ClusterError, match=message):
            executor.submit(describe, 0).result()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1: is `dask scheduler` running?"),
        ("nonsense", "no Dask scheduler answers at nonsense"),
        ("no.such.host:8786", "no Dask scheduler answers at no.such.host:8786"),
        ("nowhere.json", "there is no scheduler file nowhere.json"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_one_line(where: str, message: str, tmp_path: Path) -> None:
    done = python(f"-m sb3_lander benchmark ppo --out out.json --cluster {where}", cwd=tmp_path)
    assert done.status == 2
    assert done.output.startswith(f"sb3_lander: error: {message}")
    assert done.output.count("\n") == 1


def test_workers_on_a_cluster_are_not_counted_on_the_command_line() -> None:
    with pytest.raises(
        ValueError, match="the cluster tcp://x:1 knows itself how much it does at a time: leave out the 2"
    ):
        open_executor("tcp://x:1", 2)
    with open_executor(None, None) as executor:
        assert isinstance(executor, ProcessExecutor)
        assert executor.workers == 1


def test_cores_are_shared_out_among_the_workers_that_have_the_same() -> None:
    places = {
        "a:1": ("a", [0, 1, 2, 3]),
        "a:2": ("a", [0, 1, 2, 3]),
        "b:1": ("b", [0, 1]),
        "b:2": ("b", [2, 3]),
        "c:1": ("c", [5]),
        "c:2": ("c", [5]),
        "d:1": ("d", [0, 1]),
    }
    assert _share_out(places, {**dict.fromkeys(places, 1), "d:1": 2}) == {
        "a:1": ([0, 2], False),
        "a:2": ([1, 3], False),
        "b:1": ([0, 1], False),
        "b:2": ([2, 3], False),
        "c:1": ([5], True),
        "c:2": ([5], True),
        "d:1": ([0, 1], True),
    }
