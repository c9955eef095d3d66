"""Can a correction of the diffusivity be learnt from one glacier, and does its band mean what it says?

    python experiments/diffusivity_twin.py --output diffusivity.json

Aletsch at 600 m (1496 cells), as fast as it is, flows by creep and sliding times exp f(H, s) with a known f that no
family holds. It is seen as in `temperature_law_twin.py`: velocity with correlated noise and gaps, a geodetic balance, a
thickness product that is off in every cell and in scale. The shipped `diffusivity_correction` finds f, by NUTS and by
SVI, with two families.

OUTPUT has quantiles of f on its grid and the scores; OUTPUT.png the maps; draws are in the folder OUTPUT.runs, and a
second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import twins
import xarray as xr
from shared_law import band

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import write_json

GLACIER, RESOLUTION, BLOCK = "RGI60-11.01450", 600.0, 1200.0
CREEP, SLIDING = 1e-24, 1e-22  # Pa-3 s-1, m s-1 Pa-3: 46 m per year in the mean, 44 in the image
FAMILIES = ("gaussian_process", "spline")
NUTS = {"method": "nuts", "chains": 2, "warmup": 200, "draws": 600}
SVI = {"method": "svi", "warmup": 600, "draws": 1000}
POPULATED = 0.01  # share of the ice's cells that a place of the grid has beside it
NAME = "flow_departure"


def true_departure(thickness: Any, slope: Any) -> Any:
    """Of ln D: deep ice is faster, ice of some steepness slower."""
    return 0.7 * jnp.tanh((thickness - 250.0) / 120.0) - 0.8 * jnp.exp(-(((slope - 0.3) / 0.12) ** 2)) + 0.3


def made(seed: int) -> twins.Twin:
    """The glacier and what is seen of it."""
    site = twins.Site(twins.real(GLACIER, RESOLUTION), -2.0, BLOCK)
    law = (gb.laws.Glen(CREEP) + gb.laws.WeertmanSliding(SLIDING)) * gb.laws.Correction(true_departure)
    return twins.observe(site, law, seed)


def populated(twin: twins.Twin, thickness: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Where on the grid there is ice: the share of its cells nearest to every place."""
    fields = priors.thickness_and_slope(twin.glacier)
    ice = fields[0] > 0
    pairs = zip((thickness, slope), fields, strict=True)
    nearest = tuple(np.abs(axis[:, None] - field[ice]).argmin(0) for axis, field in pairs)
    counts = np.zeros((thickness.size, slope.size))
    np.add.at(counts, nearest, 1)
    return counts / ice.sum()


def relative(glacier: gb.Glacier, thickness: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The true f on a grid less that at the model's reference: the level of a factor on all of D is in A and C."""
    reference = priors.reference_geometry(glacier, by_volume=True)
    return np.asarray(true_departure(*np.meshgrid(thickness, slope, indexing="ij")) - true_departure(*reference))


def score(draws: xr.DataTree, truth: np.ndarray, share: np.ndarray) -> dict[str, Any]:
    """Truth, band and width of the function on its grid."""
    values = draws["posterior"][NAME].values.reshape(-1, *truth.shape)
    prior = draws["prior"][NAME].values.reshape(-1, *truth.shape)
    there, nowhere = share >= POPULATED, share == 0
    low, high = band(values[:, there])
    width = np.diff(np.quantile(values, (0.05, 0.95), 0), axis=0)[0]
    before = np.diff(np.quantile(prior, (0.05, 0.95), 0), axis=0)[0]
    off = (np.median(values, 0) - truth) / values.std(0)
    return {
        "truth_in_simultaneous_band": bool(np.all((low <= truth[there]) & (truth[there] <= high))),
        "rms_error_in_sd": float(np.sqrt(np.mean(off[there] ** 2))),
        "rms_error": float(np.sqrt(np.mean((off * values.std(0))[there] ** 2))),
        "band_over_prior_with_ice": [float(q) for q in np.quantile((width / before)[there], (0, 0.5, 1))],
        "band_over_prior_without": [float(q) for q in np.quantile((width / before)[nowhere], (0, 0.5, 1))],
    }


def study(output: Path, seed: int) -> None:
    """Both families, both methods."""
    folder = output.with_name(output.name + ".runs")
    folder.mkdir(exist_ok=True)
    twin = made(seed)
    print(f"mean speed {twin.mean_speed:.0f} m per year, {len(twin.observations.velocity.velocity)} blocks", flush=True)
    found: dict[str, Any] = {}
    both: dict[str, xr.DataTree] = {}
    for family in FAMILIES:
        options = {"family": family, "balance": "LinearGradient"}
        for settings in (NUTS, SVI):
            began, name = time.monotonic(), f"{family}, {settings['method']}"
            path = folder / f"{family}_{settings['method']}.nc"
            draws = gb.infer(
                "diffusivity_correction", twin.glacier, twin.observations, output=path, seed=seed, resume=True,
                options=options, **settings,
            )  # fmt: skip
            grid = [draws["posterior"][f"{NAME}_{axis}"].values for axis in ("thickness", "slope")]
            share = populated(twin, *grid)
            truth = relative(twin.glacier, *grid)
            trust = gb.check(draws)
            rows = trust.table[trust.table.index.str.startswith(f"{NAME}[")]
            found[name] = score(draws, truth, share) | {
                "trusted": trust.ok,
                "problems": trust.problems,
                "function_r_hat": float(rows["r_hat"].max()),
                "function_least_ess": float(rows[["ess_bulk", "ess_tail"]].min().min()),
                "k_hat": None if trust.distance is None else trust.distance.k_hat,
                "divergences": trust.divergences,
                "sampling_seconds": float(draws.attrs["sampling_seconds"]),
                "seconds": time.monotonic() - began,
            }
            both[name] = draws
        sd = [
            both[f"{family}, {m}"]["posterior"][NAME].values.reshape(-1, *share.shape).std(0) for m in ("svi", "nuts")
        ]
        ratio = (sd[0] / sd[1])[share >= POPULATED]
        found[f"{family}, svi"]["sd_over_that_of_nuts"] = [float(q) for q in np.quantile(ratio, (0, 0.5, 1))]
        print(json.dumps({name: one for name, one in found.items() if name.startswith(family)}, indent=1), flush=True)
        write_json(output, found)
        figure(output.with_name(output.name + ".png"), both, truth, share)


def figure(path: Path, both: dict[str, xr.DataTree], truth: np.ndarray, share: np.ndarray) -> None:
    """Truth, medians and widths over thickness and slope; dots where there is ice."""
    from matplotlib.figure import Figure

    first = next(iter(both.values()))["posterior"][NAME]
    thickness, slope = (first[f"{NAME}_{axis}"].values for axis in ("thickness", "slope"))
    drawn = Figure(figsize=(3.2 * (1 + len(both)), 6.0), layout="constrained")
    axes = drawn.subplots(2, 1 + len(both), sharex=True, sharey=True)
    maps = {"truth": (truth, None)}
    for name, draws in both.items():
        values = draws["posterior"][NAME].values.reshape(-1, *truth.shape)
        maps[name.replace("_", " ")] = (np.median(values, 0), values.std(0))
    for column, (name, (median, width)) in zip(axes.T, maps.items(), strict=True):
        top = column[0].pcolormesh(slope, thickness, median, cmap="RdBu", vmin=-1.5, vmax=1.5, shading="nearest")
        column[0].set_title(name, fontsize=9)
        if width is None:
            column[1].set_axis_off()
        else:
            bottom = column[1].pcolormesh(slope, thickness, width, cmap="viridis", vmin=0, vmax=0.8, shading="nearest")
        for axis in column:
            there = np.argwhere(share >= POPULATED)
            axis.plot(slope[there[:, 1]], thickness[there[:, 0]], ".", color="black", ms=4)
    axes[0, 0].set_ylabel("thickness, m")
    drawn.supxlabel("slope")
    drawn.colorbar(top, ax=axes[0], label="ln of the factor")
    drawn.colorbar(bottom, ax=axes[1], label="standard deviation")
    drawn.savefig(path, dpi=130)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    study(given.output, given.seed)


if __name__ == "__main__":
    main()
