"""Resources of this machine: number of cores, and the cache folder of compiled programs."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """The folder where compiled programs are stored between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "glacierbayes" / "jax"
