"""One law A(T) for several glaciers, given the likelihood of its creep parameter for each (`likelihoods.py`)."""

from __future__ import annotations

from functools import cache, partial

import arviz as az
import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array
from likelihoods import Curves, Surfaces
from sampling import Build

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.problem import Problem

TEMPERATURES = np.arange(-22.0, 0.01, 0.5)
WEIGHTS = "creep_departure_weights"


def law(case: tuple[Curves | Surfaces, Array], _: None = None, *, family: str) -> None:
    """The law of `models/temperature_law.py`; `case` is what the glaciers say, and their temperatures."""
    likelihoods, temperatures = case
    creep = priors.creep_of_temperature(family).creep(jnp.asarray(temperatures))
    each = likelihoods.log(jnp.log(creep))
    priors.derived("creep_parameter", creep, "Pa-3 s-1", "creep parameter of a glacier")
    priors.derived("each", each, "1", "log likelihood of the creep parameter by a glacier")
    numpyro.factor("data", jnp.sum(each))


def _problem(family: str, case: tuple) -> Problem:
    return Problem(law, case, None, {"family": family})


@cache
def of_glaciers(family: str) -> Build:
    """For `sampling.nuts`; one object a family, by which what is compiled is kept."""
    return partial(_problem, family)


def functions(family: str, weights: np.ndarray) -> np.ndarray:
    """ln A of every draw (..., weight) at `TEMPERATURES`."""
    with numpyro.handlers.seed(rng_seed=0):
        law = priors.creep_of_temperature(family)
    return np.log(priors.TYPICAL_CREEP) + np.asarray(_functions(law.departure.family, jnp.asarray(weights)))


@eqx.filter_jit
def _functions(of: gb.functions.FunctionFamily, weights: Array) -> Array:
    return jnp.vectorize(lambda one: of(one, jnp.asarray(TEMPERATURES)), signature="(w)->(t)")(weights)


def prior_at(family: str, temperatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln A at some of `TEMPERATURES` by a family that is linear in its weights: mean, and a root of the covariance."""
    zero = np.zeros(_size(family))
    at = np.searchsorted(TEMPERATURES, temperatures)
    middle = functions(family, zero)[at]
    slopes = functions(family, np.eye(zero.size))[:, at] - middle
    return middle, np.linalg.cholesky(slopes.T @ slopes)


def prior_functions(family: str, seed: int, count: int = 4000) -> np.ndarray:
    """ln A of draws from the prior at `TEMPERATURES`."""
    return functions(family, np.random.default_rng(seed).normal(size=(count, _size(family))))


def _size(family: str) -> int:
    with numpyro.handlers.trace() as sites, numpyro.handlers.seed(rng_seed=0):
        priors.creep_of_temperature(family)
    return sites[WEIGHTS]["value"].size


def band(draws: np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous band: the share `level` of the draws (..., place) lies inside everywhere."""
    draws = draws.reshape(-1, draws.shape[-1])
    middle, sd = np.median(draws, 0), draws.std(0)
    reach = np.quantile(np.max(np.abs(draws - middle) / sd, 1), level)
    return middle - reach * sd, middle + reach * sd


def convergence(draws: np.ndarray) -> tuple[float, float]:
    """Largest R-hat and least effective number of a function's values (chain, draw, place)."""
    each = np.moveaxis(draws, -1, 0)
    return max(float(az.rhat(one)) for one in each), min(float(az.ess(one)) for one in each)
