"""What the processes of environments need from the one that starts them: a sound path, and imports done once."""

import multiprocessing
import sys
from multiprocessing import forkserver
from pathlib import Path

# What every process of environments imports: torch is most of it, and takes seconds.
PRELOADED = ("stable_baselines3.common.env_util", "gymnasium.envs.box2d", "sb3_lander")


def prepare_processes(preload: tuple[str, ...] = PRELOADED) -> None:
    """Let processes of environments start soundly and fast; call this before the first one.

    A forkserver, where there is one and it does not run yet, imports ``preload`` once for all its processes; a module
    that cannot be imported is left to them. With ``spawn`` each process imports for itself.
    """
    take_opencv_off_path()
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen: list[str] = getattr(forkserver, "_forkserver")._preload_modules  # noqa: B009
        multiprocessing.set_forkserver_preload([*chosen, *(name for name in preload if name not in chosen)])


def take_opencv_off_path() -> None:
    """Take OpenCV's own folder, with a ``typing`` in it, off ``sys.path``, where a failed import of cv2 leaves it."""
    sys.path[:] = [folder for folder in sys.path if not Path(folder, "load_config_py3.py").is_file()]
