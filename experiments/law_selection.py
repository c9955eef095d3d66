"""Do the data tell which law made them? Constant A, A(T) or sliding, by leaving one glacier out.

    python experiments/law_selection.py --output selection.json

Twelve small synthetic glaciers (216 cells each), four temperatures by three thicknesses, seen as in
`temperature_law_twin.py`. Twenty data sets from each law, its parameters drawn anew. Every glacier is sampled by itself
(`alone.py`), with creep and sliding of its own; from those twelve likelihoods follows what each of the three laws,
shared by all glaciers, predicts for a glacier from the others. A law is chosen if its expected log predictive density
is above that of both others by more than two standard errors; else nobody can tell.

OUTPUT has every data set; it is written as they are done, and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import arviz  # noqa: F401 (gives arrays `azstats`)
import jax
import jax.numpy as jnp
import numpy as np
import twins
import xarray as xr
from alone import creeping_and_sliding, sample_all
from jaxtyping import Array
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH, Surfaces, stacked, surface
from sampling import nuts, workers
from scipy.stats import binomtest
from shared_law import of_glaciers

import glacierbayes as gb
from glacierbayes.inference.chunks import write_json

LAWS = ("constant", "temperature", "sliding")
SETS = 20  # from each law
TEMPERATURES = (-18.0, -12.0, -6.0, 0.0)
SHAPES = ((150.0, 0.20), (230.0, 0.13), (340.0, 0.085))  # thickness in the middle, m, and slope: about the same stress
SPACING, BLOCK, BLOCKS = 500.0, 1500.0, 6
SINGLE, SHARED = (100, 300), (300, 1000)
FAMILY = "gaussian_process"
REACH, PLACES = 4.5, 181  # of the priors, in their widths, over which laws of one and two numbers are integrated


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
    share, middle = rng.uniform(0.4, 0.7), SHAPES[1][0]
    slow, slip = creep * (1 - share), creep * share * middle / 2
    return [gb.laws.Glen(slow) + gb.laws.WeertmanSliding(slip) for _ in places]


@jax.jit
def _each(z: Array, case: tuple[Surfaces, Array]) -> Array:
    problem = of_glaciers(FAMILY)(case)
    return jax.lax.map(lambda one: problem.evaluate(one, jax.random.key(0))["derived"]["each"], z)


def left_out(each: np.ndarray, log_prior: np.ndarray) -> np.ndarray:
    """Log predictive density of every glacier from the others, over a grid of a law's numbers, (place, glacier)."""
    total = log_prior + each.sum(1)
    return np.logaddexp.reduce(total) - np.logaddexp.reduce(total[:, None] - each, 0)


def predictive(says: Surfaces, temperatures: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """By every law, of every glacier from the others; and how well A(T) was sampled."""
    axis = np.linspace(-REACH, REACH, PLACES)
    of = jax.jit(jax.vmap(says.log))
    glaciers = len(temperatures)

    def grid(values: np.ndarray) -> Array:
        return jnp.broadcast_to(jnp.asarray(values)[:, None], (values.size, glaciers))

    found = {"constant": left_out(np.asarray(of(grid(CENTRE + WIDTH * axis))), -0.5 * axis**2)}
    first, second = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    both = of(grid(CENTRE + WIDTH * first), grid(SLIDING_CENTRE + SLIDING_WIDTH * second))
    found["sliding"] = left_out(np.asarray(both), -0.5 * (first**2 + second**2))

    case = (says, jnp.asarray(temperatures))
    drawn = nuts(of_glaciers(FAMILY), case, seed, *SHARED)
    each = np.asarray(_each(jnp.asarray(drawn.z.reshape(-1, drawn.z.shape[-1])), case))
    weights, k_hat = xr.DataArray(each, dims=("draw", "glacier")).azstats.psislw(dim="draw")
    weights = weights.transpose("draw", "glacier").values
    found["temperature"] = np.logaddexp.reduce(weights + each, 0) - np.logaddexp.reduce(weights, 0)
    return found, {"k_hat": float(k_hat.max()), "r_hat": drawn.r_hat, "ess": drawn.ess}


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
    single = sample_all(creeping_and_sliding, [twin.case for twin in data], 100 * seed, SINGLE, pool)
    pairs = zip(single, data, strict=True)
    says = stacked([surface(one.log_creep, one.log_sliding, float(twin.known.depth)) for one, twin in pairs])
    found, quality = predictive(says, np.array([twin.temperature for twin in data]), seed)
    return {
        "law": law,
        "number": number,
        "chosen": chosen(found),
        "elpd": {name: float(one.sum()) for name, one in found.items()},
        "each": {name: one.tolist() for name, one in found.items()},
        "glaciers_r_hat": max(one.r_hat for one in single),
        "glaciers_least_ess": min(one.ess for one in single),
        "temperature_law": quality,
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
    return found


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
