"""Arrays on disk by temporary name and rename: whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
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


def collect(folder: Path, chains: int, statistics: Collection[str]) -> dict[str, np.ndarray]:
    """All draws after the warm-up, stacked.

    Args:
        folder: with the chunks of all chains.
        chains: how many there are.
        statistics: names of the arrays to collect beside those of the form `GROUP/NAME`.

    Returns:
        Arrays (chain, draw, ...) by name.
    """
    stacked: list[dict[str, np.ndarray]] = []
    for chain in range(chains):
        parts = [read_arrays(chunk_path(folder, chain, i)) for i in range(finished_chunks(folder, chain))]
        draws = [part for part in parts if not part["warmup"]]
        names = [name for name in draws[0] if "/" in name or name in statistics]
        stacked.append({name: np.concatenate([part[name] for part in draws]) for name in names})
    return {name: np.stack([chain[name] for chain in stacked]) for name in stacked[0]}


def collect_prior(folder: Path, chains: int) -> tuple[dict[str, np.ndarray], int]:
    """Draws from the prior of all chains as arrays (1, draw, ...) by name, and how many solves failed."""
    parts = [read_arrays(folder / f"prior{chain}.npz") for chain in range(chains)]
    names = dict.fromkeys(name for part in parts for name in part if name != "failed")
    failed = sum(int(part["failed"]) for part in parts)
    return {name: np.concatenate([part[name] for part in parts if name in part])[None] for name in names}, failed
