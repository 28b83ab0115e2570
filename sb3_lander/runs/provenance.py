"""What a figure was made on and with."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from sb3_lander.envs.cores import usable_cores

_PACKAGES = ("sb3-lander", "stable-baselines3", "sb3-contrib", "rl-zoo3", "gymnasium", "torch", "numpy", "envpool")


def system_info() -> dict[str, Any]:
    """Return the versions, the processor and the number of usable cores, as plain data."""
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "versions": versions,
        "processor": _processor(),
        "cores": len(usable_cores()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
