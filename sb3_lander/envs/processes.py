"""What the processes of environments need from the one that starts them: a sound path, and imports done once."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import forkserver
from pathlib import Path

__all__ = ["PRELOADED", "prepare_processes", "take_opencv_off_path"]

PRELOADED = ("stable_baselines3.common.env_util", "gymnasium.envs.box2d", "sb3_lander")
"""What every process of environments imports: torch is most of it, and takes seconds."""


def prepare_processes(preload: tuple[str, ...] = PRELOADED) -> None:
    """Let processes of environments start soundly and fast; call this before the first one.

    Where there is a forkserver (Linux, most BSDs), it imports ``preload`` once, and its processes inherit that; a
    forkserver that runs already stays as it is. With ``spawn`` (macOS, Windows) each process imports for itself, and
    there is nothing to do.

    :param preload: The modules; those that cannot be imported are left to the processes.
    """
    take_opencv_off_path()
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen: list[str] = getattr(forkserver, "_forkserver")._preload_modules  # noqa: B009
        multiprocessing.set_forkserver_preload([*chosen, *(name for name in preload if name not in chosen)])


def take_opencv_off_path() -> None:
    """Take OpenCV's own folder off ``sys.path``, where an import of cv2 that failed leaves it.

    It has a ``typing`` in it, so that a process that inherits this path cannot even import numpy.
    """
    sys.path[:] = [folder for folder in sys.path if not Path(folder, "load_config_py3.py").is_file()]
