"""Arrays on disk by temporary name and rename: whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a .npz file; a reader sees the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a .npz file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_json(path: Path, content: Any) -> None:
    """Writes a .json file in the same way."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """The content of a .json file."""
    return json.loads(path.read_text())


def chunk_path(folder: Path, chain: int, chunk: int) -> Path:
    """Where a chunk of a chain lies."""
    return folder / f"chain{chain}_{chunk:04d}.npz"


def finished_chunks(folder: Path, chain: int) -> int:
    """How many chunks of a chain are there, counted from the first without a gap."""
    count = 0
    while chunk_path(folder, chain, count).is_file():
        count += 1
    return count
