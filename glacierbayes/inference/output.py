"""The output file of a run: checks before it is written or resumed, and its attributes."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from glacierbayes import __version__
from glacierbayes.draws.build import versions
from glacierbayes.draws.open import open_draws
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.inference.chunks import FORMAT, read_chain, read_json
from glacierbayes.inference.machine import cores
from glacierbayes.observations.observations import Observations
from glacierbayes.solvers.results import RESULTS

if TYPE_CHECKING:
    from glacierbayes.inference.engines.base import Engine
    from glacierbayes.inference.problem import Problem

# words for messages, where a run that is resumed differs from its beginning
WORDS = {
    "model_source": "model",
    "data": "data (glacier, resolution, thickness product)",
    "version": "version of the package",
    "format": "version of the package",
}


def describe_run(
    label: str, source: str, glacier: Any, observations: Any, options: dict[str, Any], method: str, **sizes: int
) -> dict[str, Any]:
    """Returns the properties that two runs must share so that one can resume the other, as plain values."""
    return {
        "format": FORMAT,
        "version": __version__,
        "model": label,
        "model_source": source,
        "data": _fingerprint(glacier, observations),
        "options": options,
        "method": method,
        **{name: int(size) for name, size in sizes.items()},
    }


def check_output(output: Path, folder: Path, resume: bool, run: dict[str, Any]) -> None:
    """Checks that the output can be written, or resumed.

    Args:
        output: the NetCDF file.
        folder: folder of the parts.
        resume: whether the run continues an earlier one.
        run: see `describe_run`.

    Raises:
        InputError: the folder of the output does not exist; the output or its parts exist and are not resumed; or
            they belong to another run or to an earlier version of the package.
    """
    if not output.parent.is_dir():
        raise InputError(f"output {output}: the folder {output.parent} is not there; make it first")
    if not resume:
        if output.exists():
            raise InputError(f"output {output} is there already; name another, or remove it")
        if folder.exists():
            raise InputError(f"{folder} holds an unfinished run; go on with --resume, or remove it")
        return
    if (folder / "run.json").is_file():
        earlier = read_json(folder / "run.json")
        if earlier.get("format") != FORMAT:
            raise InputError(
                f"--resume: {folder} was begun by an earlier version of the package (format "
                f"{earlier.get('format', 1)}, expected {FORMAT}); finish it with that version, or name another output"
            )
    elif output.exists():
        earlier = run_of(output)
    else:
        return
    if folder.exists() and run["draws"] > earlier.get("draws", 0):
        earlier["draws"] = run["draws"]  # more of the same
    differ = [WORDS.get(key, key) for key in run if earlier.get(key) != run[key]]
    if differ:
        raise InputError(
            f"--resume: {output} was begun with another {', '.join(dict.fromkeys(differ))}; "
            "give the same as then, or name another output"
        )


def run_of(output: Path) -> dict[str, Any]:
    """Reads the properties of the run that made a file of draws; see `describe_run`."""
    return json.loads(open_draws(output).attrs.get("run", '{"draws": 0}'))


def _fingerprint(glacier: Any, observations: Any) -> str:
    """A hash of all arrays and names in the data."""
    digest = hashlib.sha256()
    leaves, tree = jax.tree.flatten((glacier, observations))
    for leaf in leaves:
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(str(tree).encode())
    return digest.hexdigest()


def notes_of(problem: Problem, observations: Any) -> list[str]:
    """Returns one line for everything in data and model that was left out, filled or assumed."""
    declared = [f"{k.replace('_', ' ')}: {v}" for k, v in problem.declarations.provenance.items()]
    if not problem.observed:
        nothing = "nothing observed: unless the model has a likelihood of its own, these are draws of its prior"
        return [nothing, *declared]
    return [note for one in _all_of(Observations, observations) for note in one.notes] + declared


def attributes_of(
    run: dict[str, Any],
    glacier: Any,
    observations: Any,
    problem: Problem,
    folder: Path,
    began: float,
    engine: type[Engine],
    prior_solves_failed: int,
) -> dict[str, Any]:
    """Returns the attributes of the root of the result: run, data, versions of packages and times.

    Args:
        run: the result of `describe_run`.
        glacier, observations: one of each, or tuples.
        problem: the model with its data.
        folder: folder of the parts.
        began: `time.monotonic()` at the start.
        engine: class of the engine.
        prior_solves_failed: number of draws of the prior whose solve failed.
    """
    glaciers = _all_of(Glacier, glacier)
    files = [pair for one in _all_of(Observations, observations) for pair in one.files]
    seconds = [float(part["chunk_seconds"]) for chain in range(run["chains"]) for part in read_chain(folder, chain)]
    return {
        **{k: v for k, v in run.items() if k not in ("model_source", "data", "format", "version")},
        "markov_chain": int(engine.markov_chain),
        "trajectories": int(engine.trajectories),
        "rgi_id": ", ".join(g.rgi_id or "" for g in glaciers),
        "thickness_product": ", ".join(g.thickness_product or "not stated" for g in glaciers),
        "crs": "; ".join(g.crs or "" for g in glaciers),
        **problem.declarations.provenance,
        "resolution": float(abs(glaciers[0].dx)) if glaciers else "not stated",
        "model_sha256": run["model_source"],
        "data_files": files,
        "notes": notes_of(problem, observations),
        "versions": versions(),
        "solver_results": {str(int(code)): words for code, words in RESULTS.items()},
        "cores": cores(),
        "wall_seconds": time.monotonic() - began,
        "sampling_seconds": sum(seconds),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "prior_solves_failed": prior_solves_failed,
        "run": run,
    }


def _all_of(kind: type, value: Any) -> list[Any]:
    return [value] if isinstance(value, kind) else [one for one in value or () if isinstance(one, kind)]
