"""A Dask cluster as an executor: many machines, whose workers come and go."""

import asyncio
import functools
import logging
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future, wait
from importlib import metadata
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.envs.cores import usable_cores
from sb3_lander.parallel.executors import ProcessExecutor
from sb3_lander.runs.provenance import system_info

_POLL = 1.0  # seconds between two tries, or two looks at whether an item is still wanted
_ANSWER, _PATIENCE = 5.0, 600.0  # seconds that a scheduler has to answer: at first, and where it was lost on the way
_AWAY = (OSError, asyncio.TimeoutError)  # what Dask raises while there is no scheduler

_Shares = dict[str, tuple[list[int], bool]]  # by worker: its cores, and whether others use them too


class ClusterError(OSError):
    """Something is wrong with the cluster, not with the work."""


def open_executor(cluster: str | None, workers: int | None) -> "ProcessExecutor | ClusterExecutor":
    """Return what the command line names; a ``with`` that an exception leaves ends what runs on it.

    :param cluster: As :class:`ClusterExecutor`; None for processes of this machine.
    :param workers: How many of those; 1 when None.
    :raises ValueError: If both are given.
    """
    if cluster is None:
        return ProcessExecutor(1 if workers is None else workers)
    if workers is not None:
        raise ValueError(f"the cluster {cluster} knows itself how much it does at a time: leave out the {workers}")
    return ClusterExecutor(cluster)


class ClusterExecutor(Executor):
    """A Dask cluster. Its workers come and go as they like; items of lost ones are done by others.

    Workers of one machine share out its cores, unless they were started on cores of their own.

    :param where: The scheduler's address, ``tcp://host:8786``, or the path of its ``--scheduler-file``, a ``.json``.
    :raises ImportError: If the extra ``cluster`` is not installed.
    :raises ClusterError: If no scheduler answers there.
    """

    def __init__(self, where: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ImportError('--cluster needs Dask: pip install "sb3-lander[cluster]"') from error
        # It would tell of a lost scheduler by a page of tracebacks.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._dask: Any = distributed
        self._where = where
        self._shares: _Shares = {}
        self._client = self._connect()
        try:
            self._client.run_on_scheduler(_check, _versions(), "scheduler")
        except ImportError as error:
            raise ClusterError(f"the scheduler {where} needs what the command has: {error}") from error
        if self.workers == 0:
            print(f"note: the scheduler {where} has no workers yet", file=sys.stderr)

    def _connect(self) -> Any:
        is_file = self._where.endswith(".json")
        if is_file and not Path(self._where).exists():
            raise ClusterError(f"there is no scheduler file {self._where}")
        where = {"scheduler_file" if is_file else "address": self._where}
        try:
            if not is_file:
                # A client that cannot even begin to connect complains once more when it is deleted.
                self._dask.comm.resolve_address(self._where)
            return self._dask.Client(**where, timeout=_ANSWER, set_as_default=False)
        except (*_AWAY, ValueError) as error:
            raise ClusterError(f"no Dask scheduler answers at {self._where}: is `dask scheduler` running?") from error

    def _connected(self) -> Any:
        """Return the client; a new one where the scheduler was lost, which may be restarted somewhere else."""
        if self._client.status != "running":
            print(f"note: lost the scheduler {self._where}, waiting for it", file=sys.stderr)
        give_up = time.monotonic() + _PATIENCE
        while self._client.status != "running":
            self._client.close(timeout=_POLL)
            try:
                self._client = self._connect()
            except ClusterError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(_POLL)
        return self._client

    @property
    def workers(self) -> int:
        """Items that the cluster does at a time, as of now."""
        client = self._connected()
        try:
            threads = client.nthreads()
            if threads.keys() != self._shares.keys():
                places = client.run(lambda: (socket.gethostname(), usable_cores()), on_error="ignore")
                self._shares = _share_out(places, threads)
        except _AWAY:
            return 0
        return sum(threads.values())

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the function on some worker, and again where that is lost, up to Dask's ``allowed-failures``."""
        # As bytes, so that the scheduler need not import what only workers need.
        work = cloudpickle.dumps((function, args, kwargs))
        future: Future[Any] = Future()
        found = self._connected().get_executor(pure=False).submit(_run_on_worker, _versions(), self._shares, work)
        found.add_done_callback(functools.partial(self._pass_on, future))
        return future

    def _pass_on(self, future: Future[Any], found: Future[Any]) -> None:
        if found.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif (error := found.exception()) is None:
            future.set_result(found.result())
        elif isinstance(error, self._dask.KilledWorker):
            future.set_exception(ChildProcessError(f"the cluster gave up an item whose workers died: {error}"))
        else:
            future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the connection; workers drop what they are at, since nobody waits for it."""
        self._client.close()


def _share_out(places: Mapping[str, tuple[str, list[int]]], threads: Mapping[str, int]) -> _Shares:
    shares = {}
    for address, (host, cores) in places.items():
        mates = sorted(a for a, (h, theirs) in places.items() if h == host and not set(theirs).isdisjoint(cores))
        number = mates.index(address)
        mine = cores[number :: len(mates)] or [cores[number % len(cores)]]
        shares[address] = (mine, len(mates) > len(cores) or threads.get(address, 1) > 1)
    return shares


@functools.cache
def _versions() -> dict[str, str | None]:
    found = system_info()
    return {"python": found["python"], "distributed": metadata.version("distributed"), **found["versions"]}


def _check(versions: Mapping[str, str | None], who: str) -> None:
    here = _versions()
    differing = [f"{name} {here[name]}, not {wanted}" for name, wanted in versions.items() if here[name] != wanted]
    if differing:
        raise ClusterError(f"the {who} has {', '.join(differing)}: it needs what the command has")


def _run_on_worker(versions: Mapping[str, str | None], shares: _Shares, work: bytes) -> Any:
    """Do one item on a Dask worker, in a process beside it, until the scheduler says that nobody wants it any more."""
    import distributed

    worker = distributed.get_worker()
    _check(versions, f"worker {worker.address}")
    function, args, kwargs = cloudpickle.loads(work)
    # Dask's nanny forbids its workers processes of their own; ours end with it.
    multiprocessing.current_process().daemon = False
    task = worker.state.tasks[worker.get_current_task()]
    # A worker that has only just come in is not among them.
    cores, shared = shares.get(worker.address, (None, True))
    with ProcessExecutor(1, cores, shared=shared) as beside:
        future = beside.submit(function, *args, **kwargs)
        while not wait([future], _POLL).done:
            if task.state == "cancelled":
                raise CancelledError
        return future.result()
