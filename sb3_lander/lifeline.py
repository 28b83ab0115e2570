"""Processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Send this process SIGTERM once the process that started it is gone, even if that was killed.

    Otherwise a worker waits for ever for the next task of an executor that is no more. Without effect in a process that
    ``multiprocessing`` did not start.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
