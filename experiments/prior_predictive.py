"""What the priors of laws that are functions let a real glacier do in five years.

    python experiments/prior_predictive.py RGI60-11.01450 --resolution 400 --output prior.json

Draws of every shipped model with an unknown function, by family: the creep parameter (of A(T): at the temperature of
the glacier), and the median surface speed over ice of more than 50 m after five years. A draw is usual where A lies
in 1e-26 to 1e-22 Pa-3 s-1, the speed is below 500 m per year and the run went well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.models import find_model

MODELS = ("temperature_law", "sliding_law", "diffusivity_correction")
YEARS = (2000.0, 2005.0)
DEEP = 50.0  # m
SOFTEST, HARDEST, FASTEST = 1e-22, 1e-26, 500.0  # Pa-3 s-1, m per year


def drawn(name: str, family: str, glacier: gb.Glacier) -> Callable:
    """Of a key: creep parameter, median speed, whether the run went well."""
    model = find_model(name)

    def of(key: jax.Array) -> tuple[jax.Array, ...]:
        with handlers.trace() as sites, handlers.seed(rng_seed=key):
            result = model(glacier, None, family=family, start=YEARS[0], end=YEARS[1])
        history = result[0] if isinstance(result, list) else result
        speed = jnp.hypot(*history.surface_velocity(YEARS[1]))
        deep = history.thickness[-1] > DEEP
        creep = next(site["value"] for site in sites.values() if site["name"].endswith("creep_parameter"))
        return creep, jnp.nanmedian(jnp.where(deep, speed, jnp.nan)), history.ok

    return jax.jit(of)


def main() -> None:
    """Reads the command line, prints a line a model and family."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("glacier")
    parser.add_argument("--resolution", type=float, default=400.0)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    glacier = gb.read_oggm(given.glacier, resolution=given.resolution)
    found = {}
    for name in MODELS:
        for family in priors.FAMILIES:
            of = drawn(name, family, glacier)
            rows = [of(key) for key in jax.random.split(jax.random.key(given.seed), given.draws)]
            creep, speed, ok = (np.array(column, float) for column in zip(*rows, strict=True))
            usual = (creep > HARDEST) & (creep < SOFTEST) & (speed < FASTEST) & (ok > 0)
            found[f"{name}, {family}"] = one = {
                "usual": float(usual.mean()),
                "creep_in_range": float(np.mean((creep > HARDEST) & (creep < SOFTEST))),
                "slow_enough": float(np.mean(speed < FASTEST)),
                "ok": float(ok.mean()),
                "creep_1_50_99_%": np.quantile(creep, (0.01, 0.5, 0.99)).tolist(),
                "speed_50_99_%": np.nanquantile(speed, (0.5, 0.99)).tolist(),
            }
            print(f"{name}, {family}: {json.dumps(one)}", flush=True)
            given.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
