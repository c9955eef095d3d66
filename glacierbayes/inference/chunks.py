"""Chunks of draws and states of engines on disk. Files are written under a temporary name and then renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes.errors import InputError

FORMAT = 2  # of the files in the folder of parts; it grows with every change of their meaning
STATE = "state."  # in front of the names of a state's fields


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a .npz file; a reader finds the old file or the new one, never an incomplete one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of a .npz file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_json(path: Path, content: Any) -> None:
    """Writes a .json file; a reader finds the old file or the new one, never an incomplete one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Reads the content of a .json file."""
    return json.loads(path.read_text())


def chunk_path(folder: Path, chain: int, chunk: int) -> Path:
    """Returns the path of the file of a chunk of a chain."""
    return folder / f"chain{chain}_{chunk:04d}.npz"


def prior_path(folder: Path, chain: int) -> Path:
    """Returns the path of the file with the prior draws of a chain."""
    return folder / f"prior{chain}.npz"


def finished_chunks(folder: Path, chain: int) -> int:
    """Counts the chunks of a chain that are there, from the first without a gap."""
    count = 0
    while chunk_path(folder, chain, count).is_file():
        count += 1
    return count


def read_chain(folder: Path, chain: int) -> list[dict[str, np.ndarray]]:
    """Reads all finished chunks of a chain."""
    return [read_arrays(chunk_path(folder, chain, i)) for i in range(finished_chunks(folder, chain))]


def pack_state(state: Any) -> dict[str, np.ndarray]:
    """Returns the fields of an engine's state as arrays, by the path of their names."""
    return {STATE + name: np.asarray(leaf) for name, leaf in _named(state)}


def unpack_state(path: Path, arrays: dict[str, np.ndarray], like: Any, engine: str, state_format: int) -> Any:
    """Returns the state in a chunk.

    Args:
        path: path of the chunk, for messages.
        arrays: content of the chunk.
        like: a state with the same fields, such as the first one of a chain.
        engine: name of the engine that resumes.
        state_format: number of the format that it can resume.

    Raises:
        InputError: the chunk holds a state of another engine or format, or other fields.
    """
    written = str(arrays.get("engine", "")), int(arrays.get("state_format", 0))
    names = [STATE + name for name, _ in _named(like)]
    if written != (engine, state_format) or not set(names) <= set(arrays):
        raise InputError(
            f"--resume: {path} holds a state of {written[0] or 'an earlier version'} in format {written[1]}, expected "
            f"{engine} in format {state_format}; remove {path.parent} and start again, or name another output"
        )
    leaves = [jnp.asarray(arrays[name]) for name in names]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named(state: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]


def collect(folder: Path, chains: int) -> dict[str, np.ndarray]:
    """Returns all draws after the warm-up, (chain, draw, ...), by GROUP/NAME, and statistics by name."""
    stacked: list[dict[str, np.ndarray]] = []
    for chain in range(chains):
        parts = [part for part in read_chain(folder, chain) if not part["warmup"]]
        names = [name for name in parts[0] if not name.startswith(STATE) and parts[0][name].ndim > 0]
        stacked.append({name: np.concatenate([part[name] for part in parts]) for name in names})
    return {name: np.stack([chain[name] for chain in stacked]) for name in stacked[0]}


def collect_prior(folder: Path, chains: int) -> tuple[dict[str, np.ndarray], int]:
    """Returns the prior draws of all chains, (1, draw, ...) by GROUP/NAME, and the number of failed solves."""
    parts = [read_arrays(prior_path(folder, chain)) for chain in range(chains)]
    names = dict.fromkeys(name for part in parts for name in part if name != "failed")
    arrays = {name: np.concatenate([part[name] for part in parts if name in part])[None] for name in names}
    return arrays, sum(int(part["failed"]) for part in parts)
