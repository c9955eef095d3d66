"""Does the band of A(T) hold the truth as often as it says? Law, nuisance and noise drawn from the prior, many times.

    python experiments/temperature_law_coverage.py --family gaussian_process --repetitions 50 --output coverage.json

The seventeen glaciers of `temperature_law_twin.py` (all under 1500 cells). Every repetition draws all unknowns from the
prior, makes the data with exact solves, tabulates the responses about them and samples the posterior with `infer`.
Whether the truth lies in the 50, 80 and 95 % simultaneous bands over -22 to 0 degC is written as it is known; a second
call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import twins
from numpyro import handlers
from response import GRADIENT, GRADIENT_FACTOR, batch, exact, untabulated
from scipy.stats import binom
from temperature_law_twin import band, functions, program

import glacierbayes as gb
from glacierbayes import constants, priors

LEVELS = (0.5, 0.8, 0.95)
SCALE_SIGMA = 0.02
SETTINGS = {"chains": 2, "warmup": 150, "draws": 250}
TRIES = 20  # of a draw whose solve fails somewhere


def draw(family: str, seed: int, seen: list[twins.Twin]) -> tuple[np.ndarray, np.ndarray, list[gb.Observations]]:
    """Weights of the law, creep parameters and data: all from the prior and the likelihood, runs exact.

    Draws outside the tables' widest box, which the posterior cannot reach, or whose run fails, are drawn again.
    """
    glaciers, placeholders = (tuple(getattr(t, name) for t in seen) for name in ("glacier", "observations"))
    bare = untabulated(glaciers, placeholders, [SCALE_SIGMA] * len(seen))
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        with handlers.trace() as sites, handlers.seed(rng_seed=int(rng.integers(2**31))):
            program(bare, family)()
        value = {name: np.asarray(site["value"]) for name, site in sites.items()}
        gradient, creep = value["balance_gradient"], value["creep_parameter"]
        change = gradient * (np.asarray(bare.height) - value["equilibrium_line"])
        at = np.stack([np.log(creep), np.log(value["thickness_scale"]), change, gradient], -1)
        steep = np.abs(np.log(gradient / GRADIENT)) > 3 * np.log(GRADIENT_FACTOR)
        far = np.abs(np.log(creep / priors.TYPICAL_CREEP)) > 3.5 * priors.CREEP_DEPARTURE
        shows = [exact(t.glacier, t.observations, place) for t, place in zip(seen, at, strict=True)]
        if not np.any(steep | far) and all(np.all(np.isfinite(one)) for one in shows):
            break
    else:
        raise RuntimeError(f"no draw of the prior could be solved in {TRIES} tries (seed {seed})")
    errors = value["velocity_discrepancy"], value["velocity_correlation_length"]
    roots = np.linalg.cholesky(np.asarray(bare.covariance(twins.SPEED_SIGMA, *map(jnp.asarray, errors))))
    data = []
    for i, (twin, one, root) in enumerate(zip(seen, shows, roots, strict=True)):
        freedom, density = value["velocity_degrees_of_freedom"][i], value["volume_change_density"][i]
        noise = root @ rng.normal(size=(len(root), 2)) * np.sqrt(freedom / rng.chisquare(freedom, 2))
        velocity = one[:-1].reshape(-1, 2)
        velocity = velocity + noise[: len(velocity)]
        balance = one[-1] * constants.VOLUME_CHANGE_DENSITY / density
        balance += float(bare.balance_sigma[i]) * rng.normal()
        fields = jnp.asarray(velocity), jnp.asarray([balance])
        data.append(eqx.tree_at(lambda o: (o.velocity.velocity, o.geodetic.balance), twin.observations, fields))
    return value["creep_departure_weights"], creep, data


def repetition(family: str, seed: int, seen: list[twins.Twin], folder: Path) -> dict:
    """One truth, its data, its posterior."""
    began = time.monotonic()
    weights, creeps, data = draw(family, seed, seen)
    sigmas = [SCALE_SIGMA] * len(seen)
    tables = batch([t.glacier for t in seen], data, sigmas, creeps)
    # the share of the density in sigma follows from the observed balance: as it was when the data were drawn
    bare = untabulated([t.glacier for t in seen], [t.observations for t in seen], sigmas)
    tables = eqx.tree_at(lambda b: b.balance_sigma, tables, bare.balance_sigma)
    ready = time.monotonic() - began
    path = folder / f"{family}{seed}.nc"
    of = program(tables, family)
    draws = gb.infer(of, None, None, output=path, seed=seed, **SETTINGS)
    drawn = draws["posterior"]["creep_departure_weights"].values
    after, truth = functions(family, drawn.reshape(-1, drawn.shape[-1])), functions(family, weights[None])[0]
    inside = {}
    for level in LEVELS:
        low, high = band(after, level)
        inside[str(level)] = bool(np.all((low <= truth) & (truth <= high)))
    table = gb.check(draws).table
    rows = table[table.index.str.startswith("creep_departure[")]
    path.unlink()
    shutil.rmtree(f"{path}.parts", ignore_errors=True)
    return {
        "seed": seed,
        "inside": inside,
        "function_r_hat": float(rows["r_hat"].max()),
        "function_least_ess": float(rows["ess_bulk"].min()),
        "seconds_data_and_tables": ready,
        "seconds": time.monotonic() - began,
    }


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--family", default="gaussian_process", choices=list(priors.FAMILIES))
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    done = json.loads(given.output.read_text())["repetitions"] if given.output.exists() else []
    folder = given.output.with_name(given.output.name + ".runs")
    folder.mkdir(exist_ok=True)
    seen = [twins.observe(site, 5e-25, 0, noise=False) for site in twins.sites()]
    for seed in range(len(done), given.repetitions):
        done.append(repetition(given.family, seed, seen, folder))
        counts = {level: sum(one["inside"][str(level)] for one in done) for level in LEVELS}
        expected = {level: [int(binom.ppf(q, len(done), level)) for q in (0.005, 0.995)] for level in LEVELS}
        summary = {str(level): {"inside": counts[level], "99 %": expected[level]} for level in LEVELS}
        temporary = given.output.with_name(f".{given.output.name}.tmp")
        temporary.write_text(json.dumps({"family": given.family, "summary": summary, "repetitions": done}, indent=1))
        temporary.replace(given.output)
        print(len(done), json.dumps(summary), f"{done[-1]['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
