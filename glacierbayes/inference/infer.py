"""`infer`: from a model and its data to a file of draws that can be trusted or says why not."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.inference.chunks import (
    chunk_path,
    collect,
    collect_prior,
    finished_chunks,
    read_arrays,
    read_json,
    write_json,
)
from glacierbayes.inference.models import describe_model, find_model
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.processes.pool import cores, run_workers
from glacierbayes.observations.observations import Observations

if TYPE_CHECKING:
    import xarray

METHODS = ("nuts", "svi")


def infer(
    model: str | Path | Callable,
    glacier: Any,
    observations: Any,
    method: str = "nuts",
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 500,
    seed: int = 0,
    output: str | Path = "posterior.nc",
    resume: bool = False,
    options: dict[str, Any] | None = None,
) -> xarray.DataTree:
    """Samples the posterior of a model and writes it as an ArviZ `DataTree`.

    Draws go in chunks into `OUTPUT.parts/`; `OUTPUT` appears when all are there. The parts stay if the draws are not
    to be trusted, so that `resume` with more draws goes on from them. Compiled programs are kept in the user's cache
    folder.

    Args:
        model: name of a shipped model, path of a model file, or a function model(glacier, observations, **options).
        glacier, observations: of one glacier, or tuples.
        method: "nuts", or "svi": the Gaussian nearest to the posterior, which takes a fraction of the time and may
            be wrong; `check` says how near it is.
        chains: processes, at most as many at once as there are cores; "svi" has one.
        draws, warmup: kept and adapting transitions of each chain; with "svi", draws and steps of the fit.
        seed: of everything random.
        output: NetCDF file.
        resume: go on from the last whole chunk, with as many draws as then, or more.
        options: of the model; plain values.

    Returns:
        posterior, sample_stats, posterior_predictive, prior, prior_predictive, log_likelihood, observed_data and
        constant_data, with units and provenance.

    Raises:
        InputError: an unknown model, option or method, an output that is in the way, a `resume` of another run,
            data of another kind, nothing observed that the model can use.
    """
    output, options = Path(output), dict(options or {})
    if method not in METHODS:
        raise InputError(f'method "{method}" is not known: expected {", ".join(METHODS)}')
    for name, value, least in (("chains", chains, 1), ("draws", draws, 4), ("warmup", warmup, 1)):
        if int(value) != value or value < least:
            raise InputError(f"{name} is {value}: expected a whole number of at least {least}")
    _check_data(glacier, observations)
    chains = chains if method == "nuts" else 1  # draws of a Gaussian do not lean on each other
    program = find_model(model)
    label, source = describe_model(model, program)
    run = {
        "model": label,
        "model_source": source,
        "data": _fingerprint(glacier, observations),
        "options": options,
        "method": method,
        "chains": int(chains),
        "draws": int(draws),
        "warmup": int(warmup),
        "seed": int(seed),
    }
    folder = output.with_name(output.name + ".parts")
    _check_output(output, folder, resume, run)
    problem = Problem(program, glacier, observations, options)

    if output.exists() and _run_of(output)["draws"] == draws:  # complete already
        return _open(output)
    folder.mkdir(exist_ok=True)
    write_json(folder / "run.json", run)
    notes = _notes(problem, observations) + [
        f"{k.replace('_', ' ')}: {v}" for k, v in problem.declarations.provenance.items()
    ]
    for note in notes:
        _say(note)
    began = time.monotonic()
    task = {"model": program, "glacier": _portable(glacier), "observations": _portable(observations)}
    task |= {"options": options, "folder": folder.resolve(), "settings": run}
    if not (folder / "start.npz").exists():
        _say("looking for a mode of the posterior to start from (the first time compilation takes a minute)")
        run_workers([{**task, "job": "start"}], _progress(run))
    if method == "nuts":
        at_once = min(chains, cores())
        _say(f"{chains} chains of {warmup} + {draws} transitions, {at_once} at once, {len(problem.names)} parameters")
    else:
        _say(f"{warmup} steps of the fit and {draws} draws, {len(problem.names)} parameters")
    run_workers([{**task, "job": method, "chain": chain} for chain in range(chains)], _progress(run))
    attributes = _attributes(run, glacier, observations, problem, notes, folder, began, source)
    return _write(problem, glacier, observations, folder, output, chains, attributes)


def _check_data(glacier: Any, observations: Any) -> None:
    glaciers, seen = (value if isinstance(value, tuple | list) else (value,) for value in (glacier, observations))
    for one in glaciers:
        if one is not None and not isinstance(one, Glacier):
            raise InputError(f"glacier is a {type(one).__name__}, expected gb.Glacier(...) or gb.read_oggm(folder)")
    for one in seen:
        if one is not None and not isinstance(one, Observations):
            raise InputError(
                f"observations is a {type(one).__name__}, expected gb.Observations(velocity=..., geodetic=...) or "
                "gb.read_observations(folder, glacier)"
            )


def _check_output(output: Path, folder: Path, resume: bool, run: dict[str, Any]) -> None:
    if not output.parent.is_dir():
        raise InputError(f"output {output}: the folder {output.parent} is not there; make it first")
    if not resume:
        if output.exists():
            raise InputError(f"output {output} is there already; name another, or remove it")
        if folder.exists():
            raise InputError(f"{folder} holds an unfinished run; go on with --resume, or remove it")
        return
    if folder.exists() and (folder / "run.json").is_file():
        earlier = read_json(folder / "run.json")
    elif output.exists():
        earlier = _run_of(output)
    else:
        return
    if folder.exists() and run["draws"] > earlier.get("draws", 0):
        earlier["draws"] = run["draws"]  # more of the same
    names = {"model_source": "model", "data": "data (glacier, resolution, thickness product)"}
    differ = [names.get(key, key) for key in run if earlier.get(key) != run[key]]
    if differ:
        raise InputError(
            f"--resume: {output} was begun with another {', '.join(dict.fromkeys(differ))}; "
            "give the same as then, or name another output"
        )


def _run_of(output: Path) -> dict[str, Any]:
    return json.loads(_open(output).attrs.get("run", '{"draws": 0}'))


def _fingerprint(glacier: Any, observations: Any) -> str:
    """A hash of every array and name in the data."""
    digest = hashlib.sha256()
    leaves, tree = jax.tree.flatten((glacier, observations))
    for leaf in leaves:
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(str(tree).encode())
    return digest.hexdigest()


def _portable(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _each(kind: type, value: Any) -> list[Any]:
    return [value] if isinstance(value, kind) else [one for one in value or () if isinstance(one, kind)]


def _notes(problem: Problem, observations: Any) -> list[str]:
    if not problem.observed:
        return ["nothing observed: unless the model has a likelihood of its own, these are draws of its prior"]
    return [note for one in _each(Observations, observations) for note in one.notes]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _progress(run: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A line a chain after every chunk."""

    def say(message: dict[str, Any]) -> None:
        if "text" in message:
            return _say(message["text"])
        position, warmup = message["position"], run["warmup"]
        phase = f"warm-up {position}/{warmup}" if position <= warmup else f"draws {position - warmup}/{run['draws']}"
        _say(
            f"chain {message['chain'] + 1}: {phase}, step size {message['step_size']:.2g}, "
            f"{message['steps']:.0f} gradients a draw, {message['divergences']} divergences, "
            f"{datetime.timedelta(seconds=round(message['left']))} left"
        )
        return None

    return say


def _attributes(run, glacier, observations, problem, notes, folder, began, source) -> dict[str, Any]:
    from glacierbayes.draws.build import versions

    glaciers = _each(Glacier, glacier)
    joined = {
        "rgi_id": ", ".join(g.rgi_id or "" for g in glaciers),
        "thickness_product": ", ".join(g.thickness_product or "not stated" for g in glaciers),
        "crs": "; ".join(g.crs or "" for g in glaciers),
    }
    stated = dict(problem.declarations.provenance)
    files = [pair for one in _each(Observations, observations) for pair in one.files]
    seconds = [_seconds(folder, chain) for chain in range(run["chains"])]
    return {
        **{k: v for k, v in run.items() if k not in ("model_source", "data")},
        **joined,
        **stated,
        "resolution": float(abs(glaciers[0].dx)) if glaciers else "not stated",
        "model_sha256": source,
        "data_files": files,
        "notes": notes,
        "versions": versions(),
        "cores": cores(),
        "wall_seconds": time.monotonic() - began,
        "sampling_seconds": float(sum(seconds)),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run": run,
    }


def _seconds(folder: Path, chain: int) -> float:
    """Time that the chain's process spent on transitions, compilation included."""
    return sum(
        float(read_arrays(chunk_path(folder, chain, i))["chunk_seconds"]) for i in range(finished_chunks(folder, chain))
    )


def _write(problem, glacier, observations, folder, output, chains, attributes) -> xarray.DataTree:
    from glacierbayes.draws.build import STATISTICS, build_tree
    from glacierbayes.draws.check import check

    prior, failed = collect_prior(folder, chains)
    tree = build_tree(
        collect(folder, chains, STATISTICS),
        prior,
        problem.observed_values(),
        problem.declarations,
        problem.names,
        glacier,
        observations,
        attributes | {"prior_solves_failed": failed},
    )
    temporary = output.with_name(f".{output.name}.tmp")
    tree.to_netcdf(temporary, engine="h5netcdf")
    temporary.replace(output)
    written = _open(output)
    if check(written).ok:
        shutil.rmtree(folder)
    else:
        more = f": --resume with more --draws goes on from {folder}" if attributes["method"] == "nuts" else ""
        _say(f"not to be trusted yet (see check){more}")
    return written


def _open(path: Path) -> xarray.DataTree:
    from glacierbayes.draws.open import open_draws

    return open_draws(path)
