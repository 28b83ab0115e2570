"""Where a study lives: a journal file, or a PostgreSQL database; and how its workers share it."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

__all__ = ["PATIENCE", "DatabaseStore", "JournalStore", "Store", "open_store", "quiet"]

HEARTBEAT, GRACE = 15, 120
"""Seconds between two signs of life of a worker in a database, and seconds without one after which it counts as lost: a
server restarts in less. A URL's query overrides them: ``postgresql://host/database?heartbeat=5&grace=30``."""

PATIENCE = 600.0
"""Seconds for which a worker waits for a database that does not answer."""

WORKER = "worker"
"""The user attribute that names the worker of a trial."""


class Store:
    """A study's storage, and what its workers need beyond Optuna: a lock, and who is alive.

    :param storage: Optuna's storage.
    :param heartbeat: Seconds between two signs of life.
    """

    def __init__(self, storage: BaseStorage, heartbeat: float = HEARTBEAT) -> None:
        self.storage = storage
        self.heartbeat = heartbeat
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def lock(self, study_name: str) -> contextlib.AbstractContextManager[Any]:
        """Return a lock that one process on all machines holds; it is free again when its holder is killed."""
        raise NotImplementedError

    def sign_in(self) -> None:
        """Show the other workers that this one lives, until the process ends."""

    def close(self) -> None:
        """Give back what is open; the study can be opened again."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial's worker is gone. Only to be asked under the lock.

        A running trial without a worker's name is one, since it is taken and gets its name under one lock.
        """
        worker = trial.user_attrs.get(WORKER)
        return trial.state is TrialState.RUNNING and (worker is None or self._is_gone(str(worker)))

    def _is_gone(self, worker: str) -> bool:
        raise NotImplementedError


class JournalStore(Store):
    """A study in a journal file, for all workers that see the file: nothing to install.

    Beside ``study.log`` lies ``study.log.workers``, a folder of locks: the operating system frees a worker's lock when
    it dies, and so the others know.

    :param path: The journal file; it and its lock files are made when they are missing.
    :raises FileNotFoundError: If its folder does not exist.
    :raises ValueError: If the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} for the journal {path.name}")
        self._folder = path.with_name(path.name + ".workers")
        self._folder.mkdir(exist_ok=True)
        self._lock = filelock.FileLock(self._folder / "study.lock")
        self._own: filelock.BaseFileLock | None = None
        try:
            # Optuna's own locks are files that a killed worker leaves behind; the others then wait for 30 seconds.
            lock: Any = filelock.FileLock(self._folder / "journal.lock")
            backend = JournalFileBackend(str(path), lock_obj=lock)
            storage = JournalStorage(backend)
        except (ValueError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a journal of Optuna: {error}") from error
        super().__init__(storage)

    def lock(self, study_name: str) -> contextlib.AbstractContextManager[Any]:
        """Return the lock of the journal's studies."""
        return self._lock

    def sign_in(self) -> None:
        """Hold this worker's own lock until the process ends."""
        self._own = filelock.FileLock(self._worker_file(self.worker_id))
        self._own.acquire()

    def close(self) -> None:
        """Sign out."""
        if self._own is not None:
            self._own.release()

    def _worker_file(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"

    def _is_gone(self, worker: str) -> bool:
        if worker == self.worker_id:
            return False
        file = self._worker_file(worker)
        probe = filelock.FileLock(file)
        try:
            probe.acquire(blocking=False)
        except filelock.Timeout:
            return False
        probe.release()
        file.unlink(missing_ok=True)
        return True


class DatabaseStore(Store):
    """A study in PostgreSQL, for workers on many machines.

    :param url: ``postgresql://user:password@host:port/database``, perhaps with ``?heartbeat=15&grace=120``.
    :param patience: Seconds to wait for a server that does not answer yet.
    :raises ImportError: If the extra ``postgres`` is not installed.
    :raises ValueError: If the database cannot be reached.
    """

    def __init__(self, url: str, patience: float = 0.0) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise ImportError('PostgreSQL needs psycopg: pip install "sb3-lander[postgres]"') from error
        try:
            parsed = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
            heartbeat, grace = (
                int(str(parsed.query.get(name, default)))
                for name, default in (("heartbeat", HEARTBEAT), ("grace", GRACE))
            )
        except (sqlalchemy.exc.ArgumentError, ValueError) as error:
            raise ValueError(f"--storage {url!r} is no database URL ({error})") from error
        if not 1 <= heartbeat < grace:
            raise ValueError(f"--storage: heartbeat={heartbeat} must be at least 1, and grace={grace} above it")
        parsed = parsed.difference_update_query(["heartbeat", "grace"])
        options = {
            # Connections that the server has closed are noticed and replaced; one for the trial, one for its heartbeat.
            "pool_pre_ping": True,
            "pool_size": 2,
            "max_overflow": 2,
            "pool_recycle": 1800,
            "connect_args": {"connect_timeout": 10, "keepalives_idle": 30},
        }
        self._engine = sqlalchemy.create_engine(parsed, **options)
        try:
            _patiently(self._engine.connect, patience)().close()
            with quiet():
                storage = _PatientStorage(
                    parsed.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    heartbeat_interval=heartbeat,
                    grace_period=grace,
                )
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
            shown = parsed.set(drivername="postgresql").render_as_string()
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise ValueError(f"cannot use the database {shown}: {reason}") from error
        super().__init__(storage, heartbeat)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        assert isinstance(self.storage, RDBStorage)
        self.storage.remove_session()
        self.storage.engine.dispose()

    @contextlib.contextmanager
    def lock(self, study_name: str) -> Iterator[None]:
        """Hold an advisory lock, which the server frees when the connection ends."""
        connection = _patiently(self._connect_locked)(f"sb3_lander/{study_name}")
        try:
            yield
        finally:
            # Not only returned to the pool, where it would keep the lock.
            connection.invalidate()
            connection.close()

    def _connect_locked(self, name: str) -> sqlalchemy.Connection:
        connection = self._engine.connect()
        try:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(sqlalchemy.func.hashtext(name))))
        except BaseException:
            # A connection that the server has dropped cannot be used again: the next try makes a new one.
            connection.invalidate()
            connection.close()
            raise
        return connection

    def _is_gone(self, worker: str) -> bool:
        # Optuna's heartbeat decides, and has already failed the trial.
        return False


_AWAY = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
"""What SQLAlchemy raises while there is no server, or none that takes connections yet."""


def _patiently(method: Callable[..., Any], patience: float = PATIENCE) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        give_up, wait = time.monotonic() + patience, 0.5
        while True:
            try:
                return method(*args, **kwargs)
            except (StorageInternalError, *_AWAY) as error:
                # Optuna's own exception says no more than that; what it was raised from does.
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                if not isinstance(cause, _AWAY) or time.monotonic() + wait > give_up:
                    raise
                time.sleep(wait)
                wait = min(2 * wait, 10.0)

    return call


class _PatientStorage(RDBStorage):
    """Optuna's storage that waits for a server which does not answer, instead of failing the trial."""


for _name in (*BaseStorage.__abstractmethods__, "record_heartbeat", "_get_stale_trial_ids"):
    setattr(_PatientStorage, _name, _patiently(getattr(RDBStorage, _name)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from warning of each experimental part that is used on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_store(url: str | None, *, patience: float = 0.0) -> Store:
    """Return the store that ``--storage`` names.

    :param url: The path of a journal file (``study.log``), or ``postgresql://...``; ``sb3_lander.log`` in the working
        folder when None.
    :param patience: Seconds to wait for a database that does not answer; a worker of a study that exists has some.
    :raises ValueError: If it is neither, or cannot be used.
    """
    if url is None:
        return JournalStore(Path("sb3_lander.log"))
    scheme, separator, _ = url.partition("://")
    if not separator:
        return JournalStore(Path(url))
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"--storage {url}: give a journal file's path, or postgresql://user@host/database")
    return DatabaseStore(url, patience)
