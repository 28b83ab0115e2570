"""Parallel work: the cores of this process, and workers that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent", "usable_cores"]


def end_with_parent() -> None:
    """Send this process SIGTERM once the process that started it is gone, even if that was killed.

    Otherwise a worker waits for ever for the next task of an executor that is no more. Without effect in a process that
    ``multiprocessing`` did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def usable_cores() -> list[int]:
    """Return the cores that this process may use: fewer than the machine's in a container or a cluster's job."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
