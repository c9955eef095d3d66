"""Can A(T) be learnt from seventeen glaciers, and does its band mean what it says? A twin experiment with a known law.

    python experiments/temperature_law_twin.py --quick --output twin.json

The study of Bolibar et al. 2023 (doi 10.5194/gmd-16-6671-2023), harder: no glacier between -14 and -8 degC, a law with
a kink that no family holds, correlated noise and gaps in the velocity, a geodetic balance with its error, a thickness
product that is off in every cell and in scale (the latent scale of a glacier has the standard deviation that both leave
in its thickness); and every other unknown of a glacier is sampled beside the law. Prior: constant in T, free. Every
glacier is sampled by itself, then the law given the likelihood of each (`single_glacier.py`). The figure has the bands,
the highest point of the posterior, which is the result of a fit without them, and the prior.

OUTPUT has quantiles of A by family, OUTPUT.scores.json the scores, OUTPUT.png the figure; draws are in the folder
OUTPUT.runs, and a second call goes on from there. `--scale 0.2` has 20 % in the scale of the thickness.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import twins
import xarray as xr
from likelihoods import Curves, stacked
from sampling import workers
from shared_law import TEMPERATURES, WEIGHTS, band, functions, law, prior_functions
from single_glacier import GlacierPosterior, creeping, sample_all

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import write_json
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.mode import find_start

GAP, DATA_DISTANCE = -11.0, 0.5  # degC: the gap's middle; how far from a glacier there are data
TARGET_ESS = {True: 1000, False: 4000}  # effective draws of a glacier, quick or not
LAW = {"chains": 2, "warmup": 1000, "draws": 4000}


def _model(each: Curves, temperatures: np.ndarray, family: str) -> Callable:
    def model(glacier=None, observations=None):
        law((each, temperatures), family=family)

    return model


def score(draws: np.ndarray, prior: np.ndarray, has_data: np.ndarray) -> dict[str, Any]:
    """Error of the median, whether the band holds the truth, and its width over the prior's; in ln A."""
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


def study(output: Path, scale_sigma: float, quick: bool, seed: int) -> None:
    """All families on the same glaciers."""
    began = time.monotonic()
    folder = output.with_name(output.name + ".runs")
    folder.mkdir(exist_ok=True)
    sites = twins.sites()
    creeps = twins.true_creep(np.array([site.temperature for site in sites]))
    laws = [gb.laws.Glen(float(creep)) for creep in creeps]
    seen = [twins.observe(*one, seed + i, scale_sigma) for i, one in enumerate(zip(sites, laws, strict=True))]
    with workers() as pool:
        single = sample_all(creeping, [twin.case for twin in seen], seed, TARGET_ESS[quick], pool, folder)
    temperatures = np.array([twin.temperature for twin in seen])
    each = stacked([one.curve for one in single])
    scores: dict[str, Any] = {"glaciers": [_glacier_summary(*one) for one in zip(seen, creeps, single, strict=True)]}
    for one in scores["glaciers"]:
        print(json.dumps(one), flush=True)
    print(f"{len(seen)} glaciers by themselves: {time.monotonic() - began:.0f} s", flush=True)
    known = np.array([t.temperature for t in seen if t.mean_speed > twins.SPEED_SIGMA])
    has_data = np.min(np.abs(TEMPERATURES[:, None] - known), 1) <= DATA_DISTANCE
    truth = twins.true_creep(TEMPERATURES)
    gap = TEMPERATURES == GAP
    result, modes = {}, {}
    for family in priors.FAMILIES:
        of = _model(each, temperatures, family)
        began = time.monotonic()
        draws = gb.infer(of, None, None, output=folder / f"{family}.nc", seed=seed, resume=True, **LAW)
        posterior = draws["posterior"][WEIGHTS].values
        after = functions(family, posterior.reshape(-1, posterior.shape[-1]))
        before = prior_functions(family, seed)
        problem = Problem(of, None, None, {})
        place = problem.evaluate(jnp.asarray(find_start(problem, seed)["mode"]), jax.random.key(0))["sites"]
        modes[family] = functions(family, np.asarray(place[WEIGHTS])[None])[0]
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
            "mode_error_in_the_gap": float((modes[family] - np.log(truth))[gap][0]),
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
        write_json(output, {"families": result})
        write_json(output.with_name(output.name + ".scores.json"), scores)
        bands = {name: band(functions(name, _weights(folder, name))) for name in result}
        figure(output.with_name(output.name + ".png"), result, bands, modes, scores["glaciers"])


def _glacier_summary(twin: twins.Twin, creep: float, found: GlacierPosterior) -> dict[str, float]:
    """Of one glacier: what it is, and what it says of its A by itself."""
    quantile = partial(np.quantile, found.log_creep, weights=found.weight, method="inverted_cdf")
    return {
        "temperature": twin.temperature,
        "mean_speed": twin.mean_speed,
        "blocks": len(twin.observations.velocity.velocity),
        "truth": float(creep),
        **{f"q{int(100 * q):02d}": float(np.exp(quantile(q))) for q in (0.05, 0.5, 0.95)},
        "k_hat": found.k_hat,
        "ess": found.ess,
    }


def _weights(folder: Path, family: str) -> np.ndarray:
    with xr.open_datatree(folder / f"{family}.nc") as tree:
        weights = tree["posterior"][WEIGHTS].values
    return weights.reshape(-1, weights.shape[-1])


def figure(path: Path, result: dict, bands: dict, modes: dict, glaciers: list[dict]) -> None:
    """Every family: truth, bands, the highest point, and what every glacier says by itself."""
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
        ends = ([one[q] for one in glaciers] for q in ("temperature", "q05", "q95"))
        axis.vlines(*ends, color="0.35", lw=0.8, label="a glacier alone, 90 %")
        axis.set(yscale="log", ylim=(2e-26, 1e-23), xlabel="temperature, °C", title=name.replace("_", " "))
    axes = drawn.axes
    axes[0].set_ylabel("creep parameter, Pa$^{-3}$ s$^{-1}$")
    axes[0].legend(fontsize=8, loc="lower right")
    drawn.savefig(path, dpi=130)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="1000 effective draws of a glacier instead of 4000")
    parser.add_argument("--scale", type=float, default=0.02, help="of the thickness, uncertainty as a share")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    study(given.output, given.scale, given.quick, given.seed)


if __name__ == "__main__":
    main()
