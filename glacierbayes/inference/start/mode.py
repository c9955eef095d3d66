"""The start of the chains: a mode of the posterior and a Gaussian approximation about it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from glacierbayes.errors import InputError
from glacierbayes.inference.machine import cores
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.score_matching import fit_gaussian_to_scores

FAILED_POTENTIAL = 1e8  # potential of a failed solve in the line search
PRIOR_CANDIDATES = 32  # draws of the prior, of which the best are starts of searches
SEARCHES = 8  # including the one from the centre of the prior; the demo has two modes, 12 apart in log density
# of the rounds, after each of which the better half of the searches goes on; 80 weights need several rounds
SEARCH_ITERATIONS = (10, 20, 30)
FINAL_ITERATIONS = 60  # of the best search, repeated
MIN_DECREASE = 0.1  # of the potential, else the search ends: a line search may have failed at a kink
START_DISPERSION = 1.5  # of the starts of the chains, in standard deviations


def find_start(problem: Problem, seed: int, chains: int = 1) -> dict[str, np.ndarray]:
    """Finds a mode, a Gaussian approximation about it and the starts of the chains, in unconstrained coordinates.

    The mode is searched by BFGS in coordinates scaled by the prior, in rounds: a few iterations from its centre and
    from the best of some prior draws, more from the better half, and at last from the best until its potential stays.
    There may be several modes, and chains do not cross between them. The covariance of the Laplace approximation is the
    first guess of `fit_gaussian_to_scores`. Compiled gradients release Python's lock, so that as many searches run at
    once as there are cores.

    Args:
        problem: the model and its data.
        seed: of the prior draws that give centre, scale and starts of searches, and of the starts of the chains.
        chains: number of chains.

    Returns:
        "mode"; "mean" and "covariance" of the Gaussian; "starts" (chain, dimension), overdispersed, with their
        "potentials" and "gradients".

    Raises:
        InputError: density or gradient are not finite at any start.
    """
    keys = jax.random.split(jax.random.key(seed), 1000)
    prior = np.asarray(jax.jit(lambda keys: jax.lax.map(problem.prior_vector, keys))(keys))
    centre, scale = np.median(prior, 0), prior.std(0)
    value_and_grad = jax.jit(jax.value_and_grad(problem.potential))

    def target(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_grad(jnp.asarray(centre + scale * w))
        value, gradient = float(value), np.asarray(gradient) * scale
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return FAILED_POTENTIAL, np.zeros_like(w)
        return value, gradient

    def target_or_infinity(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = target(w)
        return (value if value < FAILED_POTENTIAL else np.inf), gradient

    def descend(w: np.ndarray, iterations: int) -> Any:
        return minimize(target, w, jac=True, method="BFGS", options={"gtol": 0.05, "maxiter": iterations})

    def start(key: jax.Array) -> tuple[np.ndarray, float, np.ndarray]:
        away, step = root @ np.asarray(jax.random.normal(key, centre.shape)), START_DISPERSION
        while True:  # closer to the mean where the solve failed
            value, gradient = target(mean + step * away)
            if value < FAILED_POTENTIAL or step < 1e-3:
                return centre + scale * (mean + step * away), value, gradient / scale
            step /= 2

    with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:
        # a search that ends at a kink is gone on with by the next round
        warnings.filterwarnings("ignore", "The line search algorithm did not converge", RuntimeWarning)
        potential = jax.jit(problem.potential)
        candidates = prior[:PRIOR_CANDIDATES]
        prior_potentials = np.array(list(pool.map(lambda z: float(potential(jnp.asarray(z))), candidates)))
        good = prior[np.argsort(np.where(np.isfinite(prior_potentials), prior_potentials, np.inf))[: SEARCHES - 1]]
        target(np.zeros_like(centre))  # compiles
        places = [(z - centre) / scale for z in (centre, *good)]
        for iterations in SEARCH_ITERATIONS:
            searches = sorted(pool.map(partial(descend, iterations=iterations), places), key=lambda one: one.fun)
            places = [one.x for one in searches[: len(searches) // 2]]
        best, height = searches[0], np.inf
        if best.fun >= FAILED_POTENTIAL:
            raise InputError(_no_density_message(bool(np.any(np.isfinite(prior_potentials)))))
        while best.fun < height - MIN_DECREASE:
            height, best = best.fun, descend(best.x, FINAL_ITERATIONS)
        guess = laplace_covariance(lambda w: target(w)[1], best.x, pool.map)
        mean, covariance = fit_gaussian_to_scores(target_or_infinity, best.x, guess, jax.random.key(seed + 2), pool.map)
        root = np.linalg.cholesky(covariance)
        starts = zip(*pool.map(start, jax.random.split(jax.random.key(seed + 1), chains)), strict=True)
    starts, potentials, slopes = map(np.array, starts)
    return {
        "mode": centre + scale * best.x,
        "mean": centre + scale * mean,
        "covariance": covariance * np.outer(scale, scale),
        "starts": starts,
        "potentials": potentials,
        "gradients": slopes,
    }


def _no_density_message(density: bool) -> str:
    if density:
        return (
            "model: the gradient of its density is not a number anywhere. A law of your own with a square root, a "
            "logarithm or a power of what is 0 where there is no ice does this: use jnp.maximum(x, something small)"
        )
    return (
        f"model: the density is not a number at any of {PRIOR_CANDIDATES} draws of the prior: either every run of the "
        "glacier fails (simulate it with values of your own and look at `history.ok`), or a likelihood is not a number"
    )


def laplace_covariance(gradient: Callable, mode: np.ndarray, each: Callable = map) -> np.ndarray:
    """Returns the covariance of the Laplace approximation, no wider than the prior in any direction.

    The Hessian is that of central differences; its eigenvalues are at least those of the prior.

    Args:
        gradient: returns the gradient of the potential, in coordinates scaled by the prior.
        mode: (parameter,) a mode of the density.
        each: a `map`, such as that of an executor.
    """
    steps = 1e-2 * np.eye(mode.size)
    ends = np.array(list(each(lambda step: gradient(mode + step), [*steps, *-steps])))
    hessian = (ends[: mode.size] - ends[mode.size :]) / 2e-2
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    return (vectors / np.maximum(np.abs(values), 1.0)) @ vectors.T
