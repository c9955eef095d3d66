"""Does the band of A(T) hold the truth as often as it says? Law, nuisance and noise drawn from the prior, many times.

    python experiments/temperature_law_coverage.py --family gaussian_process --repetitions 50 --output coverage.json

The ten glaciers of `temperature_law_twin.py` (all under 1500 cells). Every repetition draws all unknowns from the
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
import jax
import numpy as np
import twins
from response import Exact, tabulate_what_data_allow
from scipy.stats import binom
from temperature_law_twin import band, functions, program

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.problem import Problem

LEVELS = (0.5, 0.8, 0.95)
SCALE_SIGMA = 0.02
SETTINGS = {"chains": 2, "warmup": 150, "draws": 250}
TRIES = 20  # of a draw whose solve fails somewhere


def repetition(family: str, seed: int, seen: list[twins.Twin], folder: Path) -> dict:
    """One truth, its data, its posterior."""
    began = time.monotonic()
    glaciers, placeholders = (tuple(getattr(t, name) for t in seen) for name in ("glacier", "observations"))
    exact = [Exact.of(t.glacier, t.observations) for t in seen]
    problem = Problem(program(exact, family, SCALE_SIGMA), glaciers, placeholders, {})
    keys = jax.random.split(jax.random.key(seed), 2 * TRIES)
    for vector, noise in zip(keys[::2], keys[1::2], strict=True):
        said = problem.evaluate(problem.prior_vector(vector), noise)
        if all(np.all(np.isfinite(value)) for value in said["predictive"].values()):
            break
    else:
        raise RuntimeError(f"no draw of the prior could be solved in {TRIES} tries (seed {seed})")
    observations, tables = [], []
    for number, twin in enumerate(seen, 1):
        values = [said["predictive"][f"glacier{number}_{name}"] for name in ("velocity", "geodetic_balance")]
        one = eqx.tree_at(lambda o: (o.velocity.velocity, o.geodetic.balance), twin.observations, tuple(values))
        observations.append(one)
        creep = float(said["derived"][f"glacier{number}_creep_parameter"])
        tables.append(tabulate_what_data_allow(twin.glacier, one, creep, SCALE_SIGMA))
    ready = time.monotonic() - began
    path = folder / f"{family}{seed}.nc"
    of = program(tables, family, SCALE_SIGMA)
    draws = gb.infer(of, glaciers, tuple(observations), output=path, seed=seed, resume=True, **SETTINGS)
    weights = draws["posterior"]["creep_departure_weights"].values
    after = functions(family, weights.reshape(-1, weights.shape[-1]))
    truth = functions(family, np.asarray(said["sites"]["creep_departure_weights"])[None])[0]
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
