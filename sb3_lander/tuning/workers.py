"""Processes that share out work, and the one that watches them: progress, Ctrl-C, and replacing the killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import optuna
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.parallel import end_with_parent, usable_cores
from sb3_lander.tuning.shared_work import Progress, SharedWork
from sb3_lander.tuning.storage import PATIENCE, Store, open_store

__all__ = ["run_workers", "take_all"]

_POLL = 1.0
"""Seconds between two looks at the study."""

_REPLACEMENTS = 10
"""Workers that are replaced before one gives up: something kills them all."""


def run_workers(
    work: Callable[..., None], arguments: Sequence[tuple[Any, ...]], state: Callable[[], tuple[Progress, str]] | None
) -> None:
    """Run worker processes until all have ended, and show how far the work is.

    The machine's cores are shared out among them. A worker that is killed is replaced, up to ten times. On Ctrl-C, or
    when this process is killed, all of them give their work back and end.

    :param work: What a worker does; it must be importable.
    :param arguments: Its arguments, for each worker.
    :param state: Returns how far the work is and a few words; None for no progress bar.
    :raises ChildProcessError: If a worker ended with an error, or too many were killed.
    :raises KeyboardInterrupt: After Ctrl-C, once the workers have ended.
    """
    context = multiprocessing.get_context("spawn")

    def start(number: int) -> BaseProcess:
        process = context.Process(target=_work_on_own_cores, args=(work, number, len(arguments), arguments[number]))
        process.start()
        return process

    processes = [start(number) for number in range(len(arguments))]
    replaced = 0
    try:
        with tqdm(unit="trial", disable=state is None, file=sys.stderr) as bar:
            while any(process.is_alive() for process in processes):
                for number, process in enumerate(processes):
                    if not process.is_alive() and (process.exitcode or 0) < 0 and replaced < _REPLACEMENTS:
                        replaced += 1
                        processes[number] = start(number)
                _show(bar, state)
                time.sleep(_POLL)
            _show(bar, state)
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()
    codes = [process.exitcode for process in processes if process.exitcode]
    if codes:
        ended = f"{len(codes)} of {len(processes)} workers ended early (exit codes {codes})"
        raise ChildProcessError(f"{ended}; the same command goes on from here")


def _work_on_own_cores(work: Callable[..., None], number: int, count: int, arguments: tuple[Any, ...]) -> None:
    # EnvPool starts as many threads as there are cores; those of several workers would get into each other's way.
    if hasattr(os, "sched_setaffinity"):
        cores = usable_cores()
        os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])
    work(*arguments)


def take_all(
    url: str | None,
    join: Callable[[Store], tuple[SharedWork, Callable[[optuna.Trial], Any], Callable[[optuna.Trial, Any], None]]],
    *,
    seconds: float | None = None,
    endless: bool = False,
) -> None:
    """Be one worker, in a process of its own: do pieces until none is left, or the time is over.

    :param url: As :func:`~sb3_lander.tuning.storage.open_store`.
    :param join: Returns the work, what to prepare when a piece is taken, and how to do it and tell the study.
    :param seconds: Start nothing after this time.
    :param endless: Add a piece when none waits.
    :raises SystemExit: After an interruption (130) or an error (1), which is printed.
    """
    # What stops a cluster's job is to be like Ctrl-C: the piece is given back at once. Not whatever SIGINT does here,
    # which in a script's background is nothing.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end_with_parent()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    give_up = math.inf if seconds is None else time.monotonic() + seconds
    try:
        with open_store(url, patience=PATIENCE) as store:
            store.sign_in()
            work, prepare, do = join(store)
            while time.monotonic() < give_up:
                taken = work.take(prepare)
                if taken is None and endless:
                    work.grow()
                    # At once, so that the end of the time leaves no piece that nobody takes.
                    taken = work.take(prepare)
                if taken is not None:
                    with work.hold(taken[0]):
                        do(*taken)
                elif endless or work.progress().running:
                    # Whoever has the others may be lost before they are done.
                    time.sleep(_POLL)
                else:
                    return
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _show(bar: Any, state: Callable[[], tuple[Progress, str]] | None) -> None:
    if state is None:
        return
    progress, words = state()
    bar.total, bar.n = progress.total, progress.finished
    counts = {"pruned": progress.pruned, "failed": progress.failed, "retried": progress.retried}
    shown = [f"{progress.running} running", *(f"{count} {name}" for name, count in counts.items() if count)]
    bar.set_postfix_str(", ".join([*shown, *([words] if words else [])]))
