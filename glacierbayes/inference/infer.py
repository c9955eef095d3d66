"""`infer`: samples the posterior of a model and writes the draws to a file."""

from __future__ import annotations

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
from glacierbayes.inference.chunks import collect, collect_prior, write_json
from glacierbayes.inference.driver import Settings, Task
from glacierbayes.inference.engines import find_engine
from glacierbayes.inference.machine import cores
from glacierbayes.inference.models import describe_model, find_model
from glacierbayes.inference.output import attributes_of, check_output, describe_run, notes_of, run_of
from glacierbayes.inference.prior import PRIOR_DRAWS
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.processes.pool import run
from glacierbayes.inference.progress import ProgressReport
from glacierbayes.observations.observations import Observations

if TYPE_CHECKING:
    import xarray

    from glacierbayes.inference.engines.base import Engine

MIN_DRAWS = 4


def infer(
    model: str | Path | Callable,
    glacier: Any,
    observations: Any,
    method: str | type[Engine] = "nuts",
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 500,
    seed: int = 0,
    output: str | Path = "posterior.nc",
    resume: bool = False,
    options: dict[str, Any] | None = None,
    workers: int | None = None,
) -> xarray.DataTree:
    """Samples the posterior of a model and writes it as an ArviZ `DataTree`.

    Draws go in chunks into `OUTPUT.parts/`; `OUTPUT` appears when all are there. The parts stay if `check` does
    not trust the draws, so that `resume` with more draws continues from them. Compiled programs are stored in the
    user's cache folder.

    Args:
        model: name of a shipped model, path of a model file, or a function model(glacier, observations, **options).
        glacier, observations: those of one glacier, or tuples.
        method: "nuts"; "svi", the Gaussian nearest to the posterior, which takes a fraction of the time and may be
            wrong (`check` says how close it is); "blackjax", the NUTS of BlackJAX, for comparison; or a subclass of
            `gb.Engine`.
        chains: number of independent chains; "svi" has one.
        draws, warmup: recorded and adapting transitions of each chain; with "svi", draws and steps of the fit.
        seed: seed of all random numbers.
        output: path of the NetCDF file.
        resume: continue from the last chunk on disk, with as many draws as before, or more.
        options: options of the model; plain values.
        workers: largest number of processes at once; 0 runs the chains one after another in this process. By default
            there are as many processes as cores.

    Returns:
        posterior, sample_stats, posterior_predictive, prior, prior_predictive, log_likelihood, observed_data and
        constant_data, with units and provenance.

    Raises:
        InputError: model, option or method are unknown, the output exists, `resume` is of another run, the data are
            of another kind, or the model can use none of the observations.
    """
    began = time.monotonic()
    output, options = Path(output), dict(options or {})
    engine = find_engine(method)
    minimum = {"chains": 1, "draws": MIN_DRAWS, "warmup": 1}
    for name, value in {"chains": chains, "draws": draws, "warmup": warmup}.items():
        if int(value) != value or value < minimum[name]:
            raise InputError(f"{name} is {value}: expected a whole number of at least {minimum[name]}")
    _check_data(glacier, observations)
    program = find_model(model)
    label, source = describe_model(model, program)
    # independent draws need no second chain
    sizes = {"chains": chains if engine.markov_chain else 1, "draws": draws, "warmup": warmup, "seed": seed}
    described = describe_run(label, source, glacier, observations, options, engine.name, **sizes)
    folder = output.with_name(output.name + ".parts")
    check_output(output, folder, resume, described)
    problem = Problem(program, glacier, observations, options)
    if output.exists() and run_of(output)["draws"] == draws:  # complete already
        return _open(output)
    folder.mkdir(exist_ok=True)
    write_json(folder / "run.json", described)
    glacier_arrays, observed_arrays = (jax.tree.map(np.asarray, data) for data in (glacier, observations))
    settings = Settings(**sizes, prior_draws=PRIOR_DRAWS)
    task = Task(engine, program, glacier_arrays, observed_arrays, options, folder.resolve(), settings)
    with ProgressReport(task.settings) as progress:
        for note in notes_of(problem, observations):
            progress.print_line(note)
        if not (folder / "start.npz").is_file():
            progress.print_line("looking for a mode to start from (the first time compilation takes a minute)")
        at_once = max(1, min(sizes["chains"], cores() if workers is None else workers))
        progress.print_line(
            f"{sizes['chains']} x ({warmup} + {draws}) transitions by {engine.name}, {at_once} at once, "
            f"{len(problem.names)} parameters"
        )
        run(task, workers, progress.update)
    tree = _tree(problem, glacier, observations, folder, described, engine, began)
    temporary = output.with_name(f".{output.name}.tmp")
    tree.to_netcdf(temporary, engine="h5netcdf")
    temporary.replace(output)
    return _finish(output, folder, engine)


def _tree(
    problem: Problem,
    glacier: Any,
    observations: Any,
    folder: Path,
    described: dict[str, Any],
    engine: type[Engine],
    began: float,
) -> xarray.DataTree:
    from glacierbayes.draws.build import build_tree

    recorded = collect(folder, described["chains"])
    prior, failed = collect_prior(folder, described["chains"])
    attributes = attributes_of(
        described, glacier, observations, problem, folder, began, engine, prior_solves_failed=failed
    )
    return build_tree(
        recorded,
        prior,
        problem.observed_values(),
        problem.declarations,
        problem.names,
        glacier,
        observations,
        attributes,
    )


def _finish(output: Path, folder: Path, engine: type[Engine]) -> xarray.DataTree:
    """Opens the file again, and removes the parts once the draws can be trusted."""
    from glacierbayes.draws.check import check

    written = _open(output)
    if check(written).ok:
        shutil.rmtree(folder)
    else:
        more = f": --resume with more --draws goes on from {folder}" if engine.markov_chain else ""
        print(f"not to be trusted yet (see check){more}", file=sys.stderr, flush=True)
    return written


def _check_data(glacier: Any, observations: Any) -> None:
    glaciers, observed = (value if isinstance(value, tuple | list) else (value,) for value in (glacier, observations))
    for one in glaciers:
        if one is not None and not isinstance(one, Glacier):
            raise InputError(f"glacier is a {type(one).__name__}, expected gb.Glacier(...) or gb.read_oggm(folder)")
    for one in observed:
        if one is not None and not isinstance(one, Observations):
            raise InputError(
                f"observations is a {type(one).__name__}, expected gb.Observations(velocity=..., geodetic=...) or "
                "gb.read_observations(folder, glacier)"
            )


def _open(path: Path) -> xarray.DataTree:
    from glacierbayes.draws.open import open_draws

    return open_draws(path)
