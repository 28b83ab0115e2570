"""Items on processes of their own: each done once, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until_gone

from sb3_lander.envs.cores import usable_cores
from sb3_lander.parallel.executors import ATTEMPTS, ProcessExecutor, run, shares_cores


def describe(number: int) -> tuple[int, int, list[int], bool]:
    return number, os.getpid(), usable_cores(), shares_cores()


def note(folder: Path, name: str, deaths: int) -> str:
    """Leave a file for each attempt, and die in the first ones."""
    attempts = len(list(folder.glob(f"{name}.*")))
    (folder / f"{name}.{attempts}").touch()
    (Path(tempfile.gettempdir()) / "litter").touch()
    if attempts < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return tempfile.gettempdir()


def fail(_: int) -> None:
    raise ZeroDivisionError("by its own fault")


def wait_for_ever(folder: Path) -> None:
    (folder / f"waits.{os.getpid()}").touch()
    time.sleep(3600)


def test_each_item_has_a_fresh_process_with_cores_of_its_own() -> None:
    cores = usable_cores()
    with ProcessExecutor(len(cores)) as executor:
        results = [future.result() for _, future in run(executor, describe, [(i,) for i in range(6)])]
    assert sorted(number for number, *_ in results) == list(range(6))
    assert len({process for _, process, *_ in results} | {os.getpid()}) == 7
    assert all(len(own) == 1 and set(own) <= set(cores) and not shared for *_, own, shared in results)
    with ProcessExecutor(1) as executor:
        assert executor.submit(describe, 0).result()[2:] == (cores, False)
    with ProcessExecutor(len(cores) + 1) as executor:
        assert executor.submit(describe, 0).result()[3]
    assert not shares_cores()


def test_a_killed_process_costs_its_item_a_repeat_and_the_others_nothing(tmp_path: Path) -> None:
    with ProcessExecutor(2) as executor:
        items = [(tmp_path, "a", 2), (tmp_path, "b", 0), (tmp_path, "c", 1), (tmp_path, "d", 0)]
        folders = {item[1]: future.result() for item, future in run(executor, note, items)}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.0", "a.1", "a.2", "b.0", "c.0", "c.1", "d.0"]
    # What they left in their folders for temporary files is gone with them.
    assert len(set(folders.values())) == 4
    assert not any(Path(folder).exists() for folder in folders.values())


def test_an_item_that_always_kills_its_process_ends_in_one_clear_error(tmp_path: Path) -> None:
    with ProcessExecutor(2) as executor:
        results = dict(run(executor, note, [(tmp_path, "bad", 99), (tmp_path, "good", 0)]))
    with pytest.raises(ChildProcessError, match=r"ended early, 4 times over.*lack of memory"):
        results[tmp_path, "bad", 99].result()
    assert results[tmp_path, "good", 0].exception() is None
    assert len(list(tmp_path.glob("bad.*"))) == ATTEMPTS == 4


def test_an_error_of_the_function_is_the_items_own() -> None:
    with ProcessExecutor(1) as executor:
        ((_, future),) = run(executor, fail, [(0,)])
    with pytest.raises(ZeroDivisionError, match="by its own fault"):
        future.result()


def test_leaving_by_an_exception_ends_what_runs(tmp_path: Path) -> None:
    futures = []

    def interrupted() -> None:
        with ProcessExecutor(2) as executor:
            futures.extend(executor.submit(wait_for_ever, tmp_path) for _ in range(3))
            wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(future.done() for future in futures)
    for file in tmp_path.iterdir():
        assert not Path("/proc", file.suffix[1:]).exists()


def test_processes_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, test_parallel\n"
        "from sb3_lander.parallel.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    with ProcessExecutor(2) as executor:\n"
        "        for _ in range(2): executor.submit(test_parallel.wait_for_ever, pathlib.Path('.'))\n"
    )
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
    ) as command:
        wait_for(lambda: len(list(tmp_path.glob("waits.*"))) == 2)
        command.kill()
    wait_until_gone(command.pid)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_any_executor_will_do_and_gets_so_many_items_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def work(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return number

    with ThreadPoolExecutor(8) as executor:
        results = [future.result() for _, future in run(executor, work, [(i,) for i in range(20)], at_once=3)]
        assert sorted(results) == list(range(20))
        assert most[0] <= 3
        assert sorted(future.result() for _, future in run(executor, work, [(i,) for i in range(20)])) == sorted(
            results
        )


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"executor=3 is no concurrent\.futures\.Executor"):
        next(run(3, abs, [(-1,)]))  # type: ignore[arg-type]


def test_items_may_wait_for_results_before_there_are_more() -> None:
    told: list[int] = []

    def items() -> Iterator[tuple[int] | None]:
        yield (1,)
        while not told:
            yield None
        yield (told[0] + 1,)

    with ThreadPoolExecutor(4) as executor:
        for _, future in run(executor, lambda number: 10 * number, items()):
            told.append(future.result())
    assert told == [10, 110]


def test_futures_that_are_cancelled_are_submitted_again() -> None:
    class Forgetful(Executor):
        """Cancels every item once, as Dask does when its scheduler is restarted."""

        def __init__(self) -> None:
            self.seen: set[Any] = set()

        def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if args in self.seen:
                future.set_result(function(*args))
            else:
                future.cancel()
                future.set_running_or_notify_cancel()
            self.seen.add(args)
            return future

    results = {item: future.result() for item, future in run(Forgetful(), abs, [(-1,), (2,)])}
    assert results == {(-1,): 1, (2,): 2}


def test_a_number_of_workers_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="workers=0 must be at least 1"):
        ProcessExecutor(0)
