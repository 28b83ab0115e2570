"""A real PostgreSQL server of Debian's packages, in a folder of its own, for tests and scripts/prove_tuning.py."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

__all__ = ["Server", "find_binaries"]


def find_binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``; Debian keeps them off the PATH."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return folders[-1].parent if folders else None


class Server:
    """A server on a free port of this machine.

    :param folder: An empty folder, which everybody may pass through: root has to run the server as somebody else.
    """

    def __init__(self, folder: Path) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise FileNotFoundError("no PostgreSQL: apt-get install postgresql")
        self._binaries = binaries
        self._data = folder / "data"
        self._user: str | None = None  # whoever runs the tests
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            self._user = "postgres"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._run("initdb", "-D", str(self._data), "-U", "lander", "--auth=trust", "--no-sync")
        self.url = f"postgresql://lander@127.0.0.1:{self._port}/postgres"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd="/", user=self._user, group=self._user, **quiet)

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        options = f"-p {self._port} -k {self._data} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._data / "log.txt"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once, as after a power cut."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")
