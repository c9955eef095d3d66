"""Can A(T) be learnt from seventeen glaciers, and does its band mean what it says? A twin experiment with a known law.

    python experiments/temperature_law_twin.py --quick --output twin.json

The study of Bolibar et al. 2023 (doi 10.5194/gmd-16-6671-2023), harder: no glacier between -14 and -8 degC, a law with
a kink that no family holds, correlated noise and gaps in the velocity, a geodetic balance with its error, a thickness
product that is off in every cell and in scale (the latent scale of a glacier has the standard deviation that both leave
in its thickness); and every other unknown of a glacier is sampled beside the law. Prior:
constant in T, free. Responses of the glaciers are interpolated from exact solves (`response.py`) and rechecked on 50
draws. Beside the bands stand the highest point of the posterior, which is what a fit without them says, and the prior.

OUTPUT has quantiles of A by family, OUTPUT.scores.json the scores, OUTPUT.png the figure; draws are in the folder
OUTPUT.runs, and a second call goes on from there. `--scale 0.2` has 20 % in the scale of the thickness.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import twins
import xarray as xr
from response import GRADIENT, GRADIENT_FACTOR, Batch, batch, exact

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.mode import find_start
from glacierbayes.inference.problem import Problem

TEMPERATURES = np.arange(-22.0, 0.01, 0.5)
GAP, NEAR = -11.0, 0.5  # degC: the gap's middle; how far from a glacier there are data
QUICK = {"chains": 2, "warmup": 300, "draws": 800}
FULL = {"chains": 4, "warmup": 500, "draws": 1500}
RECHECKED, PRIOR_DRAWS = 50, 4000


def program(batch: Batch, family: str):
    """`models/temperature_law.py` with interpolated responses, the glaciers in one array."""
    shape = batch.height.shape

    def model(glacier=None, observations=None):
        law = priors.creep_of_temperature(family)
        creep = law.creep(batch.temperature)
        priors.derived("creep_parameter", creep, "Pa-3 s-1", "creep parameter of a glacier")
        factor = dist.LogNormal(jnp.zeros(shape), jnp.log1p(batch.scale_sigma))
        scale = priors.sample("thickness_scale", factor, "1", "factor on the ice thickness")
        line = priors.sample("equilibrium_line", dist.Normal(batch.height, 200.0), "m", "equilibrium line altitude")
        steep = priors.lognormal(GRADIENT, GRADIENT_FACTOR).expand(shape)
        gradient = priors.sample("balance_gradient", steep, "yr-1", "mass balance gradient")
        at = jnp.stack([jnp.log(creep), jnp.log(scale), gradient * (batch.height - line), gradient], -1)
        errors, density = priors.velocity_errors(shape), priors.volume_change_density(shape)
        numpyro.factor("data", batch.log_density(at, twins.SPEED_SIGMA, errors, density))

    return model


def functions(family: str, weights: np.ndarray) -> np.ndarray:
    """ln A of every draw at `TEMPERATURES`."""
    with numpyro.handlers.seed(rng_seed=0):
        law = priors.creep_of_temperature(family)
    of = law.departure.family
    return np.log(priors.TYPICAL_CREEP) + np.asarray(
        jax.jit(jax.vmap(lambda w: of(w, jnp.asarray(TEMPERATURES))))(jnp.asarray(weights))
    )


def prior_functions(family: str, seed: int) -> np.ndarray:
    """ln A of draws from the prior at `TEMPERATURES`."""
    with numpyro.handlers.trace() as sites, numpyro.handlers.seed(rng_seed=0):
        priors.creep_of_temperature(family)
    size = sites["creep_departure_weights"]["value"].size
    return functions(family, np.random.default_rng(seed).normal(size=(PRIOR_DRAWS, size)))


def band(draws: np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous band: the share `level` of the draws lies inside everywhere."""
    middle, sd = np.median(draws, 0), draws.std(0)
    reach = np.quantile(np.max(np.abs(draws - middle) / sd, 1), level)
    return middle - reach * sd, middle + reach * sd


def score(draws: np.ndarray, prior: np.ndarray, has_data: np.ndarray) -> dict[str, Any]:
    """What the issue asks of a family, in ln A."""
    truth = np.log(twins.true_creep(TEMPERATURES))
    error = np.median(draws, 0) - truth
    low, high = band(draws)
    widths = (
        np.diff(np.quantile(draws, (0.05, 0.95), 0), axis=0)[0]
        / np.diff(np.quantile(prior, (0.05, 0.95), 0), axis=0)[0]
    )
    gap = int(np.argmin(np.abs(TEMPERATURES - GAP)))
    apart = round(3.0 / 0.5)
    correlation = np.corrcoef(prior.T)
    return {
        "rms_error": float(np.sqrt(np.mean(error[has_data] ** 2))),
        "rms_error_in_sd": float(np.sqrt(np.mean((error / draws.std(0))[has_data] ** 2))),
        "truth_in_simultaneous_band": bool(np.all((low <= truth) & (truth <= high))),
        "band_over_prior_with_data": float(np.max(widths[has_data])),
        "band_over_prior_in_the_gap": float(widths[gap]),
        "prior_correlation_at_3_degC": float(np.max(np.diagonal(correlation, apart))),
    }


def recheck(draws: xr.DataTree, batch: Batch, seen: list[twins.Twin]) -> dict[str, float]:
    """Largest error of the tables over the sigma of the data (5 m per year, 0.13 m w.e. per year), on some draws."""
    posterior = draws["posterior"].to_dataset().stack(sample=("chain", "draw"))
    names = ("creep_parameter", "thickness_scale", "equilibrium_line", "balance_gradient")
    creep, scale, line, gradient = (posterior[name].transpose("sample", ...).values for name in names)
    at = np.stack([np.log(creep), np.log(scale), gradient * (np.asarray(batch.height) - line), gradient], -1)
    worst = []
    for index in np.random.default_rng(0).choice(len(at), RECHECKED, replace=False):
        velocity, change, _ = map(np.asarray, batch.seen(jnp.asarray(at[index])))
        off = 0.0
        for twin, place, speeds, lost in zip(seen, at[index], velocity, change, strict=True):
            true = exact(twin.glacier, twin.observations, place)
            off = max(off, np.max(np.abs(true[:-1] - speeds.ravel()[: true.size - 1])) / twins.SPEED_SIGMA)
            off = max(off, abs(true[-1] - lost) / twins.BALANCE_SIGMA)
        worst.append(off)
    return {"median": float(np.median(worst)), "largest": float(np.max(worst))}


def study(output: Path, scale_sigma: float, settings: dict[str, int], seed: int) -> None:
    """All families on the same glaciers."""
    began = time.monotonic()
    folder = output.with_name(output.name + ".runs")
    folder.mkdir(exist_ok=True)
    sites = twins.sites()
    creeps = twins.true_creep(np.array([site.temperature for site in sites]))
    seen = [
        twins.observe(s, float(a), seed + i, scale_sigma) for i, (s, a) in enumerate(zip(sites, creeps, strict=True))
    ]
    for twin in seen:
        count = len(twin.observations.velocity.velocity)
        print(f"{twin.temperature:6.1f} degC: mean speed {twin.mean_speed:5.1f} m per year, {count} blocks", flush=True)
    glaciers, observations = (tuple(getattr(t, name) for t in seen) for name in ("glacier", "observations"))
    sigmas = [twins.scale_sigma_of(glacier, scale_sigma) for glacier in glaciers]
    tables = batch(glaciers, observations, sigmas, [t.creep for t in seen])
    print(f"{np.prod(tables.coefficients.shape[:5])} exact solves, {time.monotonic() - began:.0f} s", flush=True)
    known = np.array([t.temperature for t in seen if t.mean_speed > twins.SPEED_SIGMA])
    has_data = np.min(np.abs(TEMPERATURES[:, None] - known), 1) <= NEAR
    truth = twins.true_creep(TEMPERATURES)
    result, scores, modes = {}, {}, {}
    for family in priors.FAMILIES:
        of = program(tables, family)
        path = folder / f"{family}.nc"
        began = time.monotonic()
        draws = gb.infer(of, None, None, output=path, seed=seed, resume=True, **settings)
        posterior = draws["posterior"]["creep_departure_weights"].values
        after = functions(family, posterior.reshape(-1, posterior.shape[-1]))
        before = prior_functions(family, seed)
        problem = Problem(of, None, None, {})
        place = problem.evaluate(jnp.asarray(find_start(problem, seed)["mode"]), jax.random.key(0))["sites"]
        modes[family] = functions(family, np.asarray(place["creep_departure_weights"])[None])[0]
        trust = gb.check(draws)
        rows = trust.table[trust.table.index.str.startswith("creep_departure[")]
        scores[family] = score(after, before, has_data) | {
            "weights": posterior.shape[-1],
            "trusted": trust.ok,
            "problems": trust.problems,
            "function_r_hat": float(rows["r_hat"].max()),
            "function_least_ess": float(rows[["ess_bulk", "ess_tail"]].min().min()),
            "divergences": trust.divergences,
            "gradients": int(draws["sample_stats"]["n_steps"].sum()),
            "seconds": time.monotonic() - began,
            "sampling_seconds_all_chains": float(draws.attrs["sampling_seconds"]),
            "table_error_over_sigma": recheck(draws, tables, seen),
            "mode_error_in_the_gap": float(
                modes[family][np.argmin(np.abs(TEMPERATURES - GAP))] - np.log(truth[TEMPERATURES == GAP][0])
            ),
        }
        scores[f"{family}, prior alone"] = score(before, before, has_data)
        quantiles = {f"q{int(100 * q):02d}": np.exp(np.quantile(after, q, 0)).tolist() for q in (0.05, 0.5, 0.95)}
        quantiles |= {f"prior_q{int(100 * q):02d}": np.exp(np.quantile(before, q, 0)).tolist() for q in (0.05, 0.95)}
        result[family] = {
            "T": TEMPERATURES.tolist(),
            "truth": truth.tolist(),
            "has_data": has_data.tolist(),
            **quantiles,
        }
        print(json.dumps({family: scores[family], "prior": scores[f"{family}, prior alone"]}, indent=1), flush=True)
        _write(output, {"families": result})
        _write(output.with_name(output.name + ".scores.json"), scores)
        bands = {name: band(functions(name, _weights(folder, name))) for name in result}
        figure(output.with_name(output.name + ".png"), result, bands, modes, [t.temperature for t in seen])


def _weights(folder: Path, family: str) -> np.ndarray:
    with xr.open_datatree(folder / f"{family}.nc") as tree:
        weights = tree["posterior"]["creep_departure_weights"].values
    return weights.reshape(-1, weights.shape[-1])


def _write(path: Path, content: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(path)


def figure(path: Path, result: dict, bands: dict, modes: dict, temperatures: list[float]) -> None:
    """Every family: truth, bands, the highest point, and where glaciers are."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.2 * len(result), 4.2), layout="constrained")
    for axis, (name, one) in zip(
        drawn.subplots(1, len(result), sharey=True, squeeze=False)[0], result.items(), strict=True
    ):
        t = one["T"]
        axis.fill_between(t, one["prior_q05"], one["prior_q95"], color="0.85", lw=0, label="prior, 90 %")
        axis.fill_between(t, *np.exp(bands[name]), color="C0", alpha=0.25, lw=0, label="90 %, simultaneous")
        axis.fill_between(t, one["q05"], one["q95"], color="C0", alpha=0.45, lw=0, label="90 %, pointwise")
        axis.plot(t, one["q50"], color="C0", lw=1.2, label="median")
        axis.plot(t, np.exp(modes[name]), color="C3", ls="--", lw=1.2, label="highest point")
        axis.plot(t, one["truth"], color="black", lw=1.2, label="truth")
        axis.plot(temperatures, np.full(len(temperatures), 2.2e-26), "|", color="black", ms=9, label="glaciers")
        axis.set(yscale="log", ylim=(2e-26, 1e-23), xlabel="temperature, °C", title=name.replace("_", " "))
    axes = drawn.axes
    axes[0].set_ylabel("creep parameter, Pa$^{-3}$ s$^{-1}$")
    axes[0].legend(fontsize=8, loc="upper left")
    drawn.savefig(path, dpi=130)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="2 x 800 draws instead of 4 x 1500")
    parser.add_argument("--scale", type=float, default=0.02, help="of the thickness, uncertainty as a share")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    study(given.output, given.scale, QUICK if given.quick else FULL, given.seed)


if __name__ == "__main__":
    main()
