"""Functions over items, side by side: in processes of this machine, or on any executor.

::

    with ProcessExecutor(4) as executor:
        for item, future in run(executor, function, items):
            print(item, future.result())

Every item has a fresh process to itself: torch's threads, the random numbers and the memory are nobody else's. Workers
write nothing; whoever called :func:`run` does.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from sb3_lander.envs.cores import usable_cores
from sb3_lander.envs.processes import take_opencv_off_path

ATTEMPTS = 4  # times that an item is begun whose process is killed; Dask's allowed-failures gives as many
_POLL = 1.0  # seconds between two looks at what else has changed: workers that joined, work that nobody wants any more

Item = TypeVar("Item", bound=tuple[Any, ...])


def run(
    executor: Executor, function: Callable[..., Any], items: Iterable[Item | None], at_once: int | None = None
) -> Iterator[tuple[Item, Future[Any]]]:
    """Call a function with each item's values, and yield the items whose result is there, as they come.

    :param executor: One of ours, or any other. Its futures that are cancelled, as Dask's are when the scheduler is
        restarted, are submitted again.
    :param function: An importable one.
    :param items: Tuples of plain, picklable arguments. The next one is only asked for when there is a place for it, and
        None says that there is none until another result has come.
    :param at_once: Items under way at a time; the executor's ``workers`` when None, or, where it has no such number,
        all of them.
    :raises TypeError: If it is no executor of the standard library's kind, as those of ``submitit`` are not.
    """
    if not isinstance(executor, Executor):
        raise TypeError(f"executor={executor!r} is no concurrent.futures.Executor")
    source = iter(items)
    begun: dict[Future[Any], Item] = {}
    while True:
        free = (getattr(executor, "workers", sys.maxsize) if at_once is None else at_once) - len(begun)
        while free > 0 and (item := next(source, None)) is not None:
            begun[executor.submit(function, *item)] = item
            free -= 1
        if not begun:
            if free > 0:
                return
            time.sleep(_POLL)
        for future in futures.wait(begun, _POLL, futures.FIRST_COMPLETED).done:
            item = begun.pop(future)
            if future.cancelled():
                begun[executor.submit(function, *item)] = item
            else:
                yield item, future


class ProcessExecutor(Executor):
    """Processes of this machine: a fresh one for each item, replaced when it is killed, with cores of its own.

    The standard library's own pool is given up as a whole when one of its processes dies, hence a pool for each item.
    On Ctrl-C, or when this process is killed, they end with it.

    :param workers: Items at a time.
    :param cores: The machine's cores to share out; all that this process may use when None.
    :param shared: Others work on the same cores.
    """

    def __init__(self, workers: int = 1, cores: Sequence[int] | None = None, *, shared: bool = False) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers} must be at least 1")
        self.workers = workers
        cores = usable_cores() if cores is None else cores
        self._shared = shared or workers > len(cores)
        self._free: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for number in range(workers):
            self._free.put(list(cores[number::workers]) or [cores[number % len(cores)]])
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._child_end, self._own_end = self._context.Pipe(duplex=False)
        self._is_over = False
        # Its first start lets Ctrl-C through again, which _start_thread shuts out.
        resource_tracker.ensure_running()
        self._threads = futures.ThreadPoolExecutor(workers, initializer=_start_thread)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the function, once a place is free. The future raises ChildProcessError if it is always killed."""
        # The server imports it once; processes are forked from there in a moment.
        self._context.set_forkserver_preload([function.__module__])
        return self._threads.submit(self._run, function, args, kwargs)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cores = self._free.get()
        try:
            for _ in range(ATTEMPTS):
                # Ours to remove, since a process that is killed does not.
                with contextlib.suppress(BrokenProcessPool), tempfile.TemporaryDirectory() as scratch:
                    start = (self._child_end, scratch, cores, self._shared)
                    take_opencv_off_path()
                    with futures.ProcessPoolExecutor(1, self._context, _start_process, start) as process:
                        return process.submit(function, *args, **kwargs).result()
                if self._is_over:
                    raise CancelledError
        finally:
            self._free.put(cores)
        raise ChildProcessError(
            f"a worker process ended early, {ATTEMPTS} times over: in a script, start this below "
            '`if __name__ == "__main__":`; if you do, look for a lack of memory'
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work.

        :param wait: Return once everything is done.
        :param cancel_futures: Not only drop what waits, but end what runs.
        """
        if cancel_futures:
            self._is_over = True
            self._own_end.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: object, *_: object) -> None:
        self.shutdown(cancel_futures=kind is not None)


_shares_cores = False


def shares_cores() -> bool:
    """Tell whether this process works on an item beside others on the same cores, so that its seconds say little."""
    return _shares_cores


def _start_thread() -> None:
    """Shut Ctrl-C out of the processes that this thread starts, from their first moment: we end them."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _start_process(parent: Connection, scratch: str, cores: list[int], shared: bool) -> None:
    global _shares_cores  # noqa: PLW0603 - an executor's initializer can hand over its result in no other way
    _shares_cores = shared
    tempfile.tempdir = scratch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # EnvPool starts as many threads as there are cores; those of several processes would be in each other's way.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """End this process once whoever started it has closed the other end, or is no more."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    os._exit(1)
