"""Files that are whole at any moment, whatever happens; by hand, since the library atomicwrites is no longer kept."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: str | Path, write: Callable[[io.BufferedWriter], Any]) -> None:
    """Write a file beside its place, bring it to the disk, and only then give it its name.

    A process that is killed at any moment leaves the old file or the new one.

    :param path: The file; its folder must exist.
    :param write: Called with the open file.
    :raises OSError: If that fails, as on a full disk or in a read-only folder. An older file is then untouched.
    """
    path = Path(path)
    # One name for all attempts: what a killed process leaves behind is written over, and no pattern finds it.
    beside = path.with_name(f".{path.name}.part")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        # Only POSIX can open a folder; elsewhere the rename is as lasting as the system makes it.
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot save {path} ({reason}); what was saved before is untouched") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole, in UTF-8, see :func:`write_whole`."""
    write_whole(path, lambda file: file.write(text.encode()))
