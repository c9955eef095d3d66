"""Does the band of A(T) hold the truth as often as it states? Law, nuisance and noise drawn from the prior, many times.

    python experiments/temperature_law_coverage.py --family gaussian_process --repetitions 50 --output coverage.json
    python experiments/temperature_law_coverage.py --check --output check.json

Nine glaciers of `temperature_law_twin.py` (each under 1500 cells). Every repetition draws all unknowns from the prior,
makes the data with exact solves and samples the posterior as the twin does, glacier by glacier and then the law.
Written as it is known: whether the truth lies in the 50, 80 and 95 % simultaneous bands over -22 to 0 degC, and what
share of each glacier's draws lies below its own ln A (uniform, if they are right). A second call goes on from there.
With --check, the law from four of the glaciers is compared with NUTS on all four at once, in five cases.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import twins
from likelihoods import stacked
from sampling import Drawn, nuts, workers
from scipy.stats import binom
from shared_law import WEIGHTS, band, convergence, functions, of_glaciers
from single_glacier import Known, creeping, observe_glacier, sample_all

import glacierbayes as gb
from glacierbayes import constants, priors
from glacierbayes.inference.chunks import write_json

LEVELS = (0.5, 0.8, 0.95)
TARGET_ESS, LAW = 1000, (300, 1000)  # effective draws of a glacier; warm-up and draws of the law
TOGETHER, CASES, CHECKED_GLACIERS = {"chains": 2, "warmup": 150, "draws": 500}, 5, (1, 3, 5, 7)
MAX_ATTEMPTS = 20  # of a draw whose solve fails somewhere


def glaciers() -> list[twins.Twin]:
    """Every other one of the twin's, without observations that mean anything."""
    return [twins.observe(site, gb.laws.Glen(5e-25), 0, noise=False) for site in twins.sites()[::2]]


@jax.jit
def _shown(key: jax.Array, log_creep: jax.Array, case: tuple) -> tuple[jax.Array, jax.Array]:
    """Data of one glacier, all but its creep parameter from the prior."""
    problem = creeping(case)
    place, noise = jax.random.split(key)
    z = problem.prior_vector(place).at[problem.names.index("log_creep")].set(log_creep)
    drawn = problem.evaluate(z, noise)["predictive"]
    return drawn["velocity"], drawn["geodetic_balance"][0]


def draw(family: str, seed: int, made: list[twins.Twin]) -> tuple[np.ndarray, np.ndarray, list[tuple]]:
    """Weights of the law, ln A of the glaciers, and those with data, all from prior and likelihood.

    Where a run fails, all is drawn again.
    """
    share = constants.VOLUME_CHANGE_DENSITY_SIGMA / constants.VOLUME_CHANGE_DENSITY
    for attempt in jax.random.split(jax.random.key(seed), MAX_ATTEMPTS):
        weight, *keys = jax.random.split(attempt, len(made) + 1)
        with numpyro.handlers.trace() as sites, numpyro.handlers.seed(rng_seed=weight):
            law = priors.creep_of_temperature(family)
        data, log_creep = [], jnp.log(law.creep(jnp.asarray([twin.temperature for twin in made])))
        for twin, key, own in zip(made, keys, log_creep, strict=True):
            # no balance, no share of the density in its sigma
            none = eqx.tree_at(lambda o: o.geodetic.balance, twin.observations, jnp.zeros(1))
            velocity, balance = _shown(key, own, (twin.glacier, none, twin.known))
            sigma = jnp.hypot(twins.BALANCE_SIGMA, share * balance)
            fields = velocity, balance[None], sigma[None]
            where = lambda o: (o.velocity.velocity, o.geodetic.balance, o.geodetic.sigma)  # noqa: E731
            data.append((twin.glacier, eqx.tree_at(where, twin.observations, fields), twin.known))
        if all(bool(jnp.all(jnp.isfinite(case[1].velocity.velocity))) for case in data):
            return np.asarray(sites[WEIGHTS]["value"]), np.asarray(log_creep), data
    raise RuntimeError(f"no draw of the prior could be solved in {MAX_ATTEMPTS} tries (seed {seed})")


def law_of(family: str, temperatures: np.ndarray, data: list[tuple], seed: int, pool: Executor) -> tuple[Drawn, list]:
    """Draws of the law from every glacier by itself, and those."""
    single = sample_all(creeping, data, 1000 * seed, TARGET_ESS, pool)
    curves = stacked([one.curve for one in single])
    return nuts(of_glaciers(family), (curves, jnp.asarray(temperatures)), seed, *LAW), single


def repetition(family: str, seed: int, made: list[twins.Twin], pool: Executor) -> dict:
    """One truth, its data, its posterior."""
    began = time.monotonic()
    weights, log_creep, data = draw(family, seed, made)
    temperatures = np.array([twin.temperature for twin in made])
    drawn, single = law_of(family, temperatures, data, seed, pool)
    after, truth = functions(family, drawn.z), functions(family, weights)
    inside = {}
    for level in LEVELS:
        low, high = band(after, level)
        inside[str(level)] = bool(np.all((low <= truth) & (truth <= high)))
    r_hat, ess = convergence(after)
    return {
        "seed": seed,
        "inside": inside,
        "function_r_hat": r_hat,
        "function_least_ess": ess,
        "glaciers_below_truth": [
            float(one.weight @ (one.log_creep < own)) for one, own in zip(single, log_creep, strict=True)
        ],
        "glaciers_k_hat": max(one.k_hat for one in single),
        "glaciers_least_ess": min(one.ess for one in single),
        "seconds": time.monotonic() - began,
    }


def together(family: str, temperatures: np.ndarray, knowns: tuple[Known, ...]):
    """All glaciers in one model, with exact solves."""

    def model(glacier, observations):
        law = priors.creep_of_temperature(family)
        each = priors.enumerate_glaciers(glacier, observations)
        for (name, one, shown), temperature, known in zip(each, temperatures, knowns, strict=True):
            with priors.scope(name):
                observe_glacier(one, shown, known, gb.laws.Glen(law.creep(jnp.asarray(temperature))))

    return model


def check(family: str, seed: int, made: list[twins.Twin], pool: Executor, folder: Path) -> dict:
    """One truth, its posterior by both ways: differences of the function in standard deviations, and their ratio."""
    made = [made[i] for i in CHECKED_GLACIERS]
    _, _, data = draw(family, seed, made)
    temperatures = np.array([twin.temperature for twin in made])
    split, _ = law_of(family, temperatures, data, seed, pool)
    shown, observed, knowns = zip(*data, strict=True)
    began = time.monotonic()
    of, path = together(family, temperatures, knowns), folder / f"{family}{seed}.nc"
    joint = gb.infer(of, shown, observed, output=path, seed=seed, resume=True, **TOGETHER)
    one, other = functions(family, split.z), functions(family, joint["posterior"][WEIGHTS].values)
    r_hat, ess = convergence(other)
    apart = (np.median(one, (0, 1)) - np.median(other, (0, 1))) / other.std((0, 1))
    ratio = one.std((0, 1)) / other.std((0, 1))
    return {
        "seed": seed,
        "median_apart_in_sd_rms": float(np.sqrt(np.mean(apart**2))),
        "median_apart_in_sd_largest": float(np.max(np.abs(apart))),
        "sd_ratio": [float(ratio.min()), float(np.median(ratio)), float(ratio.max())],
        "together_r_hat": r_hat,
        "together_least_ess": ess,
        "together_seconds": time.monotonic() - began,
    }


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--family", default="gaussian_process", choices=list(priors.FAMILIES))
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="seed of the first repetition")
    parser.add_argument("--check", action="store_true", help="compare with NUTS on all glaciers at once instead")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    done = json.loads(given.output.read_text())["repetitions"] if given.output.exists() else []
    made, pool = glaciers(), workers()
    one, count = repetition, given.repetitions
    if given.check:
        folder = given.output.with_name(given.output.name + ".runs")
        folder.mkdir(exist_ok=True)
        one, count = partial(check, folder=folder), CASES
    there = {one["seed"] for one in done}
    for seed in sorted(set(range(given.first, given.first + count)) - there):
        done.append(one(given.family, seed, made, pool))
        found: dict[str, Any] = {"family": given.family, "repetitions": done}
        if not given.check:
            found["summary"] = {
                str(level): {
                    "inside": sum(one["inside"][str(level)] for one in done),
                    "99 %": [int(binom.ppf(q, len(done), level)) for q in (0.005, 0.995)],
                }
                for level in LEVELS
            }
        write_json(given.output, found)
        print(len(done), json.dumps(done[-1]), json.dumps(found.get("summary")), flush=True)


if __name__ == "__main__":
    main()
