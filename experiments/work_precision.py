"""What a run costs and how exact it is: our solver, diffrax's, and OGGM's, on one right-hand side.

Twenty years from the observed state, Glen's law, no balance. Errors against our explicit solver with a tolerance of
0.1 mm: rms over the ice, m; that of the gradient (mean thickness of the thickest third after twenty years, by ln A)
relative.
Times are the best of three, compilation not counted. OGGM (`Upstream2D`, its defaults) runs where it is installed, and
takes minutes at 100 m; its error is not given, its scheme in space being another.

    python experiments/work_precision.py RGI60-11.01450 --resolutions 400 200 100 --output work_precision/

Writes work_precision.json after every run and work_precision.png, and prints the ratios.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import diffrax as dfx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx

import glacierbayes as gb
from glacierbayes.solvers.stepping import TOLERANCE

CREEP = 2.4e-24  # Pa-3 s-1
YEARS = (2000.0, 2020.0)
OURS = (1.0, TOLERANCE, 0.1, 0.01)  # m
THEIRS = (1.0, 0.1, 0.01)
REFERENCE = 1e-4
PATIENCE = 30.0  # s; a run that takes longer is timed once


def implicit() -> dfx.AbstractSolver:
    """Kvaerno3 without a matrix."""
    newton = optx.Newton(rtol=1e-3, atol=1e-3, linear_solver=lx.GMRES(rtol=1e-3, atol=1e-3, restart=20))
    return dfx.Kvaerno3(root_finder=newton)


OUR_SOLVERS = {"Stabilised": gb.solvers.Stabilised()}
SOLVERS = OUR_SOLVERS | {"Bosh3": dfx.Bosh3(), "Tsit5": dfx.Tsit5(), "Kvaerno3": implicit()}


def timed(function, *args):
    """Result and least seconds of up to three calls, compiled before."""
    compiled = function.lower(*args).compile()
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        result = jax.block_until_ready(compiled(*args))
        best = min(best, time.perf_counter() - start)
        if best > PATIENCE:
            break
    return result, best


def smooth_dome(resolution: float) -> gb.Glacier:
    """A dome on a tilted plane, 8 km square."""
    x = np.arange(-4000.0 + resolution / 2, 4000.0, resolution)
    thickness = 250.0 * np.maximum(1 - (x / 2500.0) ** 2 - (x[:, None] / 2500.0) ** 2, 0.0)
    return gb.Glacier(bed=2500.0 - 0.05 * x + np.zeros_like(thickness), thickness=thickness, x=x, y=x)


def functions(glacier: gb.Glacier, solver):
    """Of ln A and the tolerance: the last thickness; gradient of one number of it; the number and its tangent."""
    thick = glacier.thickness > jnp.quantile(glacier.thickness[glacier.thickness > 0], 2 / 3)

    def last(log_creep, tolerance):
        law = gb.laws.Glen(jnp.exp(log_creep))
        return gb.simulate(glacier, law, None, YEARS, solver=solver, tolerance=tolerance).thickness[-1]

    def number(log_creep, tolerance):
        return jnp.sum(jnp.where(thick, last(log_creep, tolerance), 0.0)) / jnp.sum(thick)

    return (
        jax.jit(last),
        jax.jit(jax.grad(number)),
        jax.jit(lambda a, tol: jax.jvp(lambda a: number(a, tol), (a,), (1.0,))),
    )


def measure(name: str, compiled, tolerance: float, exact, gradient: bool) -> dict:
    """Seconds and errors of one solver at one tolerance."""
    point, (last, grad, push) = (jnp.log(CREEP), tolerance), compiled
    found, seconds = timed(last, *point)
    ice = (exact[0] > 0) | (np.asarray(found) > 0)
    row = {"solver": name, "tolerance": tolerance, "seconds": seconds, "ice_cells": int(ice.sum())}
    row["error"] = float(np.sqrt(np.mean((np.asarray(found) - exact[0])[ice] ** 2)))
    if gradient:
        slope, row["gradient_seconds"] = timed(grad, *point)
        row["gradient_error"] = float(abs(slope / exact[1] - 1))
        if name == "Stabilised":
            _, row["jvp_seconds"] = timed(push, *point)
    return row


def oggm_seconds(glacier: gb.Glacier) -> float:
    """Seconds of OGGM's solver over the same years."""
    os.environ["HOME"] = tempfile.mkdtemp()  # its import writes there
    sys.modules["salem"] = None  # its import wants the network
    warnings.simplefilter("ignore")
    from oggm import cfg
    from oggm.core.sia2d import Upstream2D

    cfg.initialize_minimal(logging_level="CRITICAL")

    class NoBalance:
        hemisphere = "nh"

        def get_annual_mb(self, heights, year=None, fl_id=None):
            return np.zeros_like(heights)

    thickness, width = np.asarray(glacier.thickness), abs(float(glacier.dx))
    model = Upstream2D(np.asarray(glacier.bed), init_ice_thick=thickness, dx=width, mb_model=NoBalance(), glen_a=CREEP)
    start = time.perf_counter()
    model.run_until(YEARS[1] - YEARS[0])
    return time.perf_counter() - start


def ratios(rows: list[dict]) -> dict[str, float]:
    """Ours at its default against the others."""
    ours = next(row for row in rows if row["solver"] == "Stabilised" and row["tolerance"] == TOLERANCE)
    stock = [
        row for row in rows if row["solver"] not in (*OUR_SOLVERS, "OGGM") and row["error"] <= max(ours["error"], 0.05)
    ]
    found = {"error": ours["error"], "seconds": ours["seconds"]}
    if "gradient_seconds" in ours:
        found |= {"grad / forward": ours["gradient_seconds"] / ours["seconds"]}
        found |= {"jvp / forward": ours["jvp_seconds"] / ours["seconds"]}
    if stock:
        found["best stock / ours, forward"] = min(row["seconds"] for row in stock) / ours["seconds"]
    if with_gradient := [row["gradient_seconds"] for row in stock if "gradient_seconds" in row]:
        found["best stock / ours, gradient"] = min(with_gradient) / ours["gradient_seconds"]
    if oggm := [row["seconds"] for row in rows if row["solver"] == "OGGM"]:
        found["OGGM / ours"] = oggm[0] / ours["seconds"]
    return found


def draw(results: dict[str, list[dict]], path: Path) -> None:
    """Error against time, of the run and of its gradient."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results), 6.8), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, (case, rows) in enumerate(results.items()):
        for axis, seconds, error, label in (
            (axes[0, column], "seconds", "error", "rms error of the thickness (m)"),
            (axes[1, column], "gradient_seconds", "gradient_error", "relative error of the gradient"),
        ):
            for solver in SOLVERS:
                line = [(row[seconds], row[error]) for row in rows if row["solver"] == solver and seconds in row]
                if line:
                    axis.loglog(*zip(*line, strict=True), "o-", label=solver)
            for row in rows:
                if row["solver"] == "OGGM" and seconds == "seconds":
                    axis.axvline(row["seconds"], color="0.6", linestyle="--", label="OGGM (time only)")
            axis.set(xlabel="seconds" if seconds == "seconds" else "seconds, gradient", ylabel=label, title=case)
            axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glacier", type=Path)
    parser.add_argument("--resolutions", type=float, nargs="+", default=[400.0, 200.0, 100.0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--no-oggm", action="store_true", help="leave OGGM out")
    parser.add_argument("--implicit-from", type=float, default=400.0, help="finest cell, m, for Kvaerno3")
    parser.add_argument("--solvers", nargs="+", choices=list(SOLVERS), default=list(SOLVERS))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    cases = {f"dome, {min(options.resolutions):g} m": smooth_dome(min(options.resolutions))}
    cases |= {
        f"{options.glacier.name}, {r:g} m": gb.read_oggm(options.glacier, resolution=r) for r in options.resolutions
    }
    results: dict[str, list[dict]] = {}
    for case, glacier in cases.items():
        compiled = functions(glacier, SOLVERS["Stabilised"])
        exact = np.asarray(compiled[0](jnp.log(CREEP), REFERENCE)), float(compiled[1](jnp.log(CREEP), REFERENCE))
        rows = results[case] = []
        finest = abs(float(glacier.dx))
        for name in options.solvers:
            if name == "Kvaerno3" and finest < options.implicit_from:
                continue
            ours = name in OUR_SOLVERS
            compiled = functions(glacier, SOLVERS[name])
            for tolerance in OURS if ours else THEIRS:
                # through the reverse mode of a solver of diffrax a run of 100 m takes minutes: once is enough
                gradient = ours or finest >= 200.0 or (name == "Bosh3" and tolerance == THEIRS[2])
                rows.append(measure(name, compiled, tolerance, exact, gradient))
                print(case, rows[-1], flush=True)
                (options.output / "work_precision.json").write_text(json.dumps(results, indent=1))
        if not options.no_oggm and importlib.util.find_spec("oggm"):
            rows.append({"solver": "OGGM", "seconds": oggm_seconds(glacier)})
        print(case, {k: float(f"{v:.3g}") for k, v in ratios(rows).items()}, flush=True)
    (options.output / "work_precision.json").write_text(json.dumps(results, indent=1))
    draw(results, options.output / "work_precision.png")
    for name in OUR_SOLVERS:
        at = [
            (row["ice_cells"], row["seconds"])
            for case, rows in results.items()
            for row in rows
            if "dome" not in case and row["solver"] == name and row["tolerance"] == TOLERANCE
        ]
        if len(at) > 1:
            cells, seconds = np.log(at).T
            print(f"{name}: cost goes with the number of cells to the power {np.polyfit(cells, seconds, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
