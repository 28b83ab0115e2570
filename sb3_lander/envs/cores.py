"""The cores that this process may use."""

import os


def usable_cores() -> list[int]:
    """Return the cores that this process may use: fewer than the machine's in a container or a cluster's job."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
