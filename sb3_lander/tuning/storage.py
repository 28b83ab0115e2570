"""Where a study lives: a journal file, or a database; and that one command at a time writes to it."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import filelock
import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

_JOURNAL = "sb3_lander.log"
_PATIENCE = 600.0  # seconds for which a search waits for a database that does not answer
_HELD_BY = "held by"  # the study's user attribute that says who writes to it, or was the last

Result = TypeVar("Result")


def open_storage(url: str | None = None) -> BaseStorage:
    """Return Optuna's storage.

    :param url: The path of a journal file (``study.log``), made if missing, or the URL of what Optuna can use,
        ``postgresql://user:password@host:port/database`` or ``sqlite:///study.db``; ``sb3_lander.log`` in the working
        folder when None.
    :raises FileNotFoundError: If a journal's folder does not exist.
    :raises ImportError: If the database's driver is not installed.
    :raises ValueError: If it is neither, or cannot be used.
    """
    if url is None or "://" not in url:
        return _open_journal(Path(url or _JOURNAL))
    try:
        parsed = sqlalchemy.make_url(url)
        options: dict[str, Any] = {}
        if parsed.get_backend_name() in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
            # One connection, which is checked before each use: it holds the lock, see hold. Optuna has a second one for
            # a moment, when it looks at the tables at first.
            options = {"pool_size": 1, "max_overflow": 1, "pool_pre_ping": True}
            options["connect_args"] = {"connect_timeout": 10, "keepalives_idle": 30, "application_name": _myself()}
        return RDBStorage(parsed.render_as_string(hide_password=False), engine_kwargs=options)
    except ImportError as error:
        raise ImportError(f'--storage: {error} (for PostgreSQL: pip install "sb3-lander[postgres]")') from error
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(f"--storage {url!r}: give a journal file's path, or postgresql://user@host/db") from error
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise ValueError(f"cannot use the database {parsed.render_as_string()}: {reason}") from error


def _open_journal(path: Path) -> BaseStorage:
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} for the journal {path.name}")
    try:
        # Optuna's own locks are files that a killed command leaves behind; the next one then waits for 30 seconds.
        lock: Any = filelock.FileLock(f"{path}.lock")
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a journal of Optuna: {error}") from error


@contextlib.contextmanager
def hold(storage: BaseStorage, url: str | None, name: str) -> Iterator[None]:
    """Be the only command that writes to a study; whatever kills it, the operating system or the server frees it.

    :param storage: What :func:`open_storage` returned.
    :param url: For this.
    :param name: The study, which need not exist.
    :raises ValueError: If another command has it.
    """
    try:
        with _lock(storage, url, name):
            yield
    except (filelock.Timeout, _HeldError):
        who = "somebody who has just started"
        with contextlib.suppress(KeyError):
            who = optuna.load_study(study_name=name, storage=storage).user_attrs[_HELD_BY]
        raise ValueError(f"study {name!r} is in use by {who}: wait, or end that command") from None
    finally:
        if isinstance(storage, RDBStorage):
            storage.engine.dispose()  # since Python 3.13 an open connection of SQLite's warns when it goes


class _HeldError(StorageInternalError):
    """Another command has the study's advisory lock."""


def _lock(storage: BaseStorage, url: str | None, name: str) -> contextlib.AbstractContextManager[Any]:
    file = url or _JOURNAL
    if isinstance(storage, RDBStorage):
        if storage.engine.name == "postgresql":
            return _advisory_lock(storage.engine, name)
        if storage.engine.name == "sqlite" and storage.engine.url.database != ":memory:":
            file = str(storage.engine.url.database)
    if "://" in file:
        print(f"note: nothing keeps two commands from one study in {url}: see to it", file=sys.stderr)
        return contextlib.nullcontext()
    return filelock.FileLock(f"{file}.{quote(name, safe='')}.lock", timeout=0)


@contextlib.contextmanager
def _advisory_lock(engine: sqlalchemy.Engine, name: str) -> Iterator[None]:
    """Let the storage's one connection take the lock whenever it is made: after a restart of the server too."""

    def take(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [f"sb3_lander/{name}"])
            is_mine = cursor.fetchone()[0]
        connection.commit()
        if not is_mine:
            connection.close()
            raise _HeldError

    sqlalchemy.event.listen(engine, "connect", take)
    try:
        engine.dispose()
        engine.connect().close()
        yield
    finally:
        sqlalchemy.event.remove(engine, "connect", take)
        engine.dispose()


def _myself() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


def sign(study: optuna.Study) -> None:
    """Say in a study who holds it, for those who want it too."""
    study.set_user_attr(_HELD_BY, _myself())


def patiently(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function again while the database does not answer, up to ten minutes; it must bear to be called twice."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            return function(*args)
        except (StorageInternalError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError):
            if time.monotonic() > give_up:
                raise
            time.sleep(1.0)
