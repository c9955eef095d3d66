"""Do the data tell which law made them? Constant A, A(T) or sliding, by leaving one glacier out.

    python experiments/law_selection.py --output selection.json

Sixteen small synthetic glaciers (216 cells each), four temperatures by four thicknesses, seen as in
`temperature_law_twin.py`. Twenty data sets from each law, its parameters drawn anew. Every glacier is sampled by itself
(`single_glacier.py`), with creep and sliding of its own; from those likelihoods follows what each of the three laws,
shared by all glaciers, predicts for a glacier from the others, by weighted draws without it. A law is chosen if its
expected log predictive density is above that of both others by more than two standard errors; else nobody can tell.

OUTPUT has every data set, and which of them have a glacier whose draws did not suffice; it is written as they are done,
and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import twins
from jaxtyping import Array, Float
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH, Surfaces, stacked, surface
from numpyro import distributions as dist
from sampling import workers
from scipy.special import logsumexp
from scipy.stats import binomtest
from shared_law import prior_at
from single_glacier import creeping_and_sliding, sample_all
from weighing import K_HAT, weigh

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import write_json
from glacierbayes.inference.problem import Problem

LAWS = ("constant", "temperature", "sliding")
SETS = 20  # from each law
TEMPERATURES = (-18.0, -12.0, -6.0, 0.0)
# Thickness in the middle, m, and slope: about the same stress. The wider the range, the better sliding, which goes with
# the cube of the thickness, is told from creep, which goes with its fourth power.
SHAPES = ((130.0, 0.23), (200.0, 0.15), (300.0, 0.10), (430.0, 0.07))
MIDDLE = 230.0  # thickness at which the share of sliding is drawn, m
SPACING, BLOCK, BLOCKS = 500.0, 1500.0, 6
TARGET_ESS = 1000  # effective draws of a glacier
FAMILY = "gaussian_process"


def sites() -> list[twins.Site]:
    """The glaciers as they are."""
    made = [twins.synthetic(*shape, SPACING) for shape in SHAPES]
    return [twins.Site(glacier, temperature, BLOCK, BLOCKS) for temperature in TEMPERATURES for glacier in made]


def truths(law: str, rng: np.random.Generator, places: list[twins.Site]) -> list[gb.laws.FlowLaw]:
    """The law of every glacier."""
    if law == "temperature":
        shift, wave, bend = rng.normal(0, 0.3), rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5)
        creeps = []
        for site in places:
            table = float(gb.laws.cuffey_paterson(jnp.asarray(site.temperature)))
            creeps.append(table * np.exp(shift + bend * np.cos(2 * np.pi * site.temperature / 16 + wave)))
        return [gb.laws.Glen(creep) for creep in creeps]
    creep = float(np.exp(np.log(1e-24) + 0.4 * rng.normal()))
    if law == "constant":
        return [gb.laws.Glen(creep) for _ in places]
    share, middle = rng.uniform(0.4, 0.7), MIDDLE
    slow, slip = creep * (1 - share), creep * share * middle / 2
    return [gb.laws.Glen(slow) + gb.laws.WeertmanSliding(slip) for _ in places]


class Shared(NamedTuple):
    """A law for all glaciers: ln A and ln C of each, linear in numbers that are standard normal a priori."""

    creep: Float[Array, " glacier"]
    creep_by: Float[Array, "glacier number"]
    sliding: Float[Array, " glacier"]
    sliding_by: Float[Array, "glacier number"]

    def each(self, surfaces: Surfaces, numbers: Float[Array, " number"]) -> Float[Array, " glacier"]:
        """Log likelihood of every glacier."""
        return surfaces.log(self.creep + self.creep_by @ numbers, self.sliding + self.sliding_by @ numbers)


def shared_laws(temperatures: np.ndarray) -> dict[str, Shared]:
    """By name; A(T) has a number for every temperature, which is all that its glaciers know of it."""
    ones, nothing = np.ones(len(temperatures)), np.zeros((len(temperatures), 1))
    places, index = np.unique(temperatures, return_inverse=True)
    middle, root = prior_at(FAMILY, places)
    made = {
        "constant": (CENTRE * ones, WIDTH * ones[:, None], -np.inf * ones, nothing),
        "temperature": (middle[index], root[index], -np.inf * ones, np.zeros((index.size, places.size))),
        "sliding": (
            CENTRE * ones,
            np.stack([WIDTH * ones, 0 * ones], 1),
            SLIDING_CENTRE * ones,
            np.stack([0 * ones, SLIDING_WIDTH * ones], 1),
        ),
    }
    return {name: Shared(*map(jnp.asarray, parts)) for name, parts in made.items()}


def _model(case: tuple[Shared, Surfaces, Array], _: None = None) -> None:
    law, surfaces, used = case
    numbers = priors.sample("numbers", dist.Normal(jnp.zeros(law.creep_by.shape[1]), 1.0), "1", "of the law")
    numpyro.factor("data", jnp.sum(jnp.where(used, law.each(surfaces, numbers), 0.0)))


def others(case: tuple[Shared, Surfaces, Array]) -> Problem:
    """A law given some glaciers, for `weigh`."""
    return Problem(_model, case, None, {})


def predictive(surfaces: Surfaces, temperatures: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Log predictive density by every law, of every glacier from the others; and the largest k-hat of their draws."""
    found, k_hat = {}, -np.inf
    for name, law in shared_laws(temperatures).items():
        found[name] = np.empty(len(temperatures))
        for i in range(len(temperatures)):
            used = jnp.arange(len(temperatures)) != i
            drawn = weigh(others, (law, surfaces, used), seed + i)
            log = np.asarray(_likelihoods(law, surfaces, jnp.asarray(drawn.z)))[:, i]
            found[name][i] = logsumexp(log, b=drawn.weight)
            k_hat = max(k_hat, drawn.k_hat)
    return found, k_hat


@jax.jit
def _likelihoods(law: Shared, surfaces: Surfaces, z: Array) -> Array:
    return jax.vmap(lambda numbers: law.each(surfaces, numbers))(z)


def chosen(found: dict[str, np.ndarray]) -> str:
    """By the rule."""
    best = max(found, key=lambda name: found[name].sum())
    for name in LAWS:
        apart = found[best] - found[name]
        if name != best and apart.sum() <= 2 * np.sqrt(apart.size * apart.var(ddof=1)):
            return "cannot tell"
    return best


def data_set(law: str, number: int, pool: Executor) -> dict[str, Any]:
    """One data set, its three laws and the choice."""
    began = time.monotonic()
    seed = 1000 * LAWS.index(law) + number
    places = sites()
    flows = truths(law, np.random.default_rng(seed), places)
    data = [twins.observe(*one, 100 * seed + i) for i, one in enumerate(zip(places, flows, strict=True))]
    single = sample_all(creeping_and_sliding, [twin.case for twin in data], 100 * seed, TARGET_ESS, pool)
    pairs = zip(single, data, strict=True)
    parts = [surface(one.log_creep, one.log_sliding, float(twin.known.depth), one.weight) for one, twin in pairs]
    surfaces = stacked(parts)
    found, k_hat = predictive(surfaces, np.array([twin.temperature for twin in data]), seed)
    return {
        "law": law,
        "number": number,
        "chosen": chosen(found),
        "elpd": {name: float(one.sum()) for name, one in found.items()},
        "each": {name: one.tolist() for name, one in found.items()},
        "glaciers_k_hat": max(one.k_hat for one in single),
        "glaciers_least_ess": min(one.ess for one in single),
        "laws_k_hat": k_hat,
        "seconds": time.monotonic() - began,
    }


def summary(done: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts with 95 % binomial intervals."""

    def share(count: int, of: int) -> dict[str, Any]:
        interval = binomtest(count, of).proportion_ci()
        return {"count": count, "of": of, "95 %": [round(interval.low, 3), round(interval.high, 3)]}

    wrong = sum(one["chosen"] not in (one["law"], "cannot tell") for one in done)
    found: dict[str, Any] = {"wrong": share(wrong, len(done))}
    for law in LAWS:
        own = [one["chosen"] for one in done if one["law"] == law]
        if own:
            right = (law, "cannot tell") if law == "constant" else (law,)
            found[law] = share(sum(name in right for name in own), len(own)) | {n: own.count(n) for n in {*own}}
    short = [
        [one["law"], one["number"]]
        for one in done
        if one["glaciers_least_ess"] < TARGET_ESS or one["glaciers_k_hat"] >= K_HAT
    ]
    return found | {"a glacier has too few draws": short}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=SETS, help="from each law")
    given = parser.parse_args()
    done = json.loads(given.output.read_text())["sets"] if given.output.exists() else []
    made = {(one["law"], one["number"]) for one in done}
    with workers() as pool:
        for number in range(given.sets):
            for law in LAWS:
                if (law, number) in made:
                    continue
                done.append(data_set(law, number, pool))
                write_json(given.output, {"summary": summary(done), "sets": done})
                brief = {k: v for k, v in done[-1].items() if k != "each"}
                print(json.dumps(brief), json.dumps(summary(done)), flush=True)


if __name__ == "__main__":
    main()
