"""A Dask scheduler and workers as real processes on this machine, for tests and scripts/prove_tuning.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Cluster"]

_QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}


class Cluster:
    """One scheduler, known by its file, and any number of workers of one thread each.

    :param folder: Where the scheduler's file and the logs go.
    :param paths: Folders from which the workers can import too.
    """

    def __init__(self, folder: Path, *paths: Path) -> None:
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "dask.txt").open("ab")
        self._folder = folder
        self._paths = paths
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._wait_for_scheduler()

    def _start(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([*map(str, self._paths), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--scheduler-file", str(self.file)],
            cwd=self._folder,
            env={**os.environ, **_QUIET, "PYTHONPATH": path, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def _wait_for_scheduler(self) -> None:
        until = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < until, "the scheduler does not start"
            time.sleep(0.1)

    def start_worker(self, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, which needs a moment to join."""
        worker = self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", env=env)
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker, and nothing that it started."""
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def kill_scheduler(self) -> None:
        """Kill the scheduler, and its workers, which would end by themselves, but may take their time."""
        self.scheduler.send_signal(signal.SIGKILL)
        self.scheduler.wait()
        while self.workers:
            self.kill_worker(self.workers[0])
        self.file.unlink()

    def restart_scheduler(self) -> None:
        """Start it again, at another address."""
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._wait_for_scheduler()

    def stop(self) -> None:
        """End all of it, without a word: asked to end all at once, a worker may wait for the scheduler for ever."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self._log.close()
