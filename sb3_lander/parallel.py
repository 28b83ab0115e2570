"""Processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent"]


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
