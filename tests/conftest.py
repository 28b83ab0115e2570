"""Running the RL Zoo's commands: in this process where that is enough, in another one where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from dask_cluster import Cluster
from postgres import Server, find_binaries

REPO = Path(__file__).resolve().parent.parent
# Tests run side by side, and torch would start a thread for each core in each. What a test starts inherits this.
os.environ["OMP_NUM_THREADS"] = "1"


def split(*command: str | Path) -> list[str]:
    """Return the words of a command line; a path is one word."""
    return [word for part in command for word in ([str(part)] if isinstance(part, Path) else part.split())]


class Finished(NamedTuple):
    """A command that has ended."""

    status: int
    output: str


def python(*command: str | Path, cwd: Path, code: str | None = None) -> Finished:
    """Run ``python COMMAND`` in ``cwd`` with no display, and return its status and whole output.

    :param command: What follows ``python`` on the command line, see :func:`split`.
    :param cwd: The folder to run it in.
    :param code: A program to run instead of a file or module; ``command`` is then its arguments.
    """
    return run([sys.executable, *([] if code is None else ["-c", code]), *split(*command)], cwd)


def run(command: Sequence[str], cwd: Path, **variables: str) -> Finished:
    """Run a command in ``cwd`` with no display and with some environment variables of its own."""
    unseen = {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"}
    seen = {key: value for key, value in os.environ.items() if key not in unseen}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**seen, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Finished(done.returncode, done.stdout)


def wait_until_gone(group: int) -> None:
    """Wait until no process of a group runs any more; fail after a minute.

    A zombie counts as gone: in a container there may be nobody to collect orphans.
    """
    until = time.monotonic() + 60
    command = ["ps", "-eo", "pgid=,stat=,args="]
    while left := [
        line
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        if int(line.split()[0]) == group and not line.split()[1].startswith("Z")
    ]:
        assert time.monotonic() < until, left
        time.sleep(0.2)


class ShortRun(NamedTuple):
    """What a short run of the literal command left behind."""

    cwd: Path
    folder: Path
    output: str


@pytest.fixture(scope="session")
def v2_run(tmp_path_factory: pytest.TempPathFactory) -> ShortRun:
    """Two rollouts of the literal command on v2, with the flags that only add output."""
    cwd = tmp_path_factory.mktemp("v2_run")
    done = python(
        "-m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2",
        "-n 16384 --eval-freq 8192 --eval-episodes 2 --save-freq 8192 -tb tb -P --seed 7",
        cwd=cwd,
    )
    assert done.status == 0, done.output
    return ShortRun(cwd, cwd / "logs/ppo/LunarLanderContinuous-v2_1", done.output)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return a real PostgreSQL server."""
    if find_binaries() is None and "CI" not in os.environ:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    # Not under pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        server = Server(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a real scheduler of Dask, whose workers can import what tests can."""
    cluster = Cluster(tmp_path, *map(Path, filter(None, sys.path)))
    yield cluster
    cluster.stop()


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return ``zoo("train --algo ppo ...")``: run one of the Zoo's commands in this process, in ``tmp_path``.

    Strings are split at spaces, paths are not. What the command prints is returned.
    """

    def run(*command: str | Path) -> str:
        from rl_zoo3.enjoy import enjoy
        from rl_zoo3.plots.plot_train import plot_train
        from rl_zoo3.train import train

        name, *arguments = split(*command)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        {"train": train, "enjoy": enjoy, "plot_train": plot_train}[name]()
        return capsys.readouterr().out

    return run
