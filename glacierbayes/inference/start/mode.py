"""Where the chains start: near a mode of the posterior, with its curvature as the first mass matrix."""

from __future__ import annotations

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
from glacierbayes.inference.start.score_matching import matched

HEIGHT = 1e8  # stands for the density zero of a failed solve in the line search
TRIED = 32  # prior draws, of which the best become starts
STARTS = 8  # of the search, with the prior's centre; the demo has two modes, 12 apart in log density
ROUNDS = (10, 20, 30)  # iterations, after each of which the better half goes on: 80 weights need more than one look
LAST = 60  # iterations of the best, again and again while
AGAIN = 0.1  # they lower the potential by this: a line search may have failed at a kink
SPREAD = 1.5  # of the chains' starts, in standard deviations


def find_start(problem: Problem, seed: int, chains: int = 1) -> dict[str, np.ndarray]:
    """A mode, a Gaussian that is like the posterior about it, and where chains start, in unconstrained coordinates.

    BFGS in coordinates scaled by the prior, in rounds: a little from its centre and from the best of some prior draws,
    then on from the better half, at last from the best until it stays: there may be several modes, and chains do not
    cross between them. The Hessian by central differences of the gradient, its eigenvalues kept at the prior's or
    above, so that the matrix is no wider than the prior in any direction; it is the first guess of `matched`. A
    compiled gradient leaves Python free: as many at once as there are cores.

    Args:
        problem: the model and its data.
        seed: of the prior draws that give centre, scale and starts, and of the chains' starts.
        chains: how many.

    Returns:
        "mode"; "mean" and "covariance" of the Gaussian; "starts" (chain, dimension), overdispersed, with their
        "potentials" and "gradients".

    Raises:
        InputError: nowhere are the density and its gradient numbers.
    """
    keys = jax.random.split(jax.random.key(seed), 1000)
    prior = np.asarray(jax.jit(lambda keys: jax.lax.map(problem.prior_vector, keys))(keys))
    centre, scale = np.median(prior, 0), prior.std(0)
    value_and_grad = jax.jit(jax.value_and_grad(problem.potential))

    def target(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_grad(jnp.asarray(centre + scale * w))
        value, gradient = float(value), np.asarray(gradient) * scale
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return HEIGHT, np.zeros_like(w)
        return value, gradient

    def measured(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = target(w)
        return (value if value < HEIGHT else np.inf), gradient

    def descend(w: np.ndarray, iterations: int) -> Any:
        return minimize(target, w, jac=True, method="BFGS", options={"gtol": 0.05, "maxiter": iterations})

    def start(key: jax.Array) -> tuple[np.ndarray, float, np.ndarray]:
        away, step = root @ np.asarray(jax.random.normal(key, centre.shape)), SPREAD
        while True:  # nearer to the mean where the solve failed
            value, gradient = target(mean + step * away)
            if value < HEIGHT or step < 1e-3:
                return centre + scale * (mean + step * away), value, gradient / scale
            step /= 2

    with ThreadPoolExecutor(cores()) as pool:
        potential = jax.jit(problem.potential)
        heights = np.array(list(pool.map(lambda z: float(potential(jnp.asarray(z))), prior[:TRIED])))
        good = prior[np.argsort(np.where(np.isfinite(heights), heights, np.inf))[: STARTS - 1]]
        target(np.zeros_like(centre))  # compiles
        places = [(z - centre) / scale for z in (centre, *good)]
        for iterations in ROUNDS:
            found = sorted(pool.map(partial(descend, iterations=iterations), places), key=lambda one: one.fun)
            places = [one.x for one in found[: len(found) // 2]]
        best, height = found[0], np.inf
        if best.fun >= HEIGHT:
            raise InputError(_nowhere(bool(np.any(np.isfinite(heights)))))
        while best.fun < height - AGAIN:
            height, best = best.fun, descend(best.x, LAST)
        guess = laplace(lambda w: target(w)[1], best.x, pool.map)
        mean, covariance = matched(measured, best.x, guess, jax.random.key(seed + 2), pool.map)
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


def _nowhere(density: bool) -> str:
    if density:
        return (
            "model: the gradient of its density is not a number anywhere. A law of your own with a square root, a "
            "logarithm or a power of what is 0 where there is no ice does this: use jnp.maximum(x, something small)"
        )
    return (
        f"model: the density is not a number at any of {TRIED} draws of the prior: either every run of the glacier "
        "fails (simulate it with values of your own and look at `history.ok`), or a likelihood is not a number"
    )


def laplace(gradient: Callable, mode: np.ndarray, each: Callable = map) -> np.ndarray:
    """Covariance of the Laplace approximation, no wider than the prior in any direction.

    Args:
        gradient: of the potential, in coordinates scaled by the prior.
        mode: where it is about 0.
        each: maps over places.
    """
    steps = 1e-2 * np.eye(mode.size)
    ends = np.array(list(each(lambda step: gradient(mode + step), [*steps, *-steps])))
    hessian = (ends[: mode.size] - ends[mode.size :]) / 2e-2
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    return (vectors / np.maximum(np.abs(values), 1.0)) @ vectors.T
