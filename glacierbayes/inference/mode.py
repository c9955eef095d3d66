"""Where the chains start: a mode of the posterior, and its curvature as the first mass matrix."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from glacierbayes.inference.problem import Problem

HEIGHT = 1e8  # stands for the density zero of a failed solve in the line search
TRIED = 32  # prior draws, of which the best become starts
STARTS = 8  # of the search, with the prior's centre; the demo has two modes, 12 apart in log density
FIRST_ITERATIONS, ITERATIONS = 10, 60  # of each start, and of the best


def find_start(problem: Problem, seed: int) -> dict[str, np.ndarray]:
    """A mode and the covariance there, in unconstrained coordinates.

    BFGS in coordinates scaled by the prior, a little from its centre and from the best of some prior draws, then on
    from where the density is highest: there may be several modes, and chains do not cross between them. The Hessian
    by central differences of the gradient, its eigenvalues kept at the prior's or above, so that the matrix is no
    wider than the prior in any direction.

    Args:
        problem: the model and its data.
        seed: of the prior draws that give centre, scale and starts.

    Returns:
        "mode" and "covariance".
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

    def descend(w: np.ndarray, iterations: int) -> Any:
        return minimize(target, w, jac=True, method="BFGS", options={"gtol": 0.05, "maxiter": iterations})

    potential = jax.jit(problem.potential)
    heights = np.array([float(potential(jnp.asarray(z))) for z in prior[:TRIED]])
    good = prior[np.argsort(np.where(np.isfinite(heights), heights, np.inf))[: STARTS - 1]]
    found = [descend((z - centre) / scale, FIRST_ITERATIONS) for z in (centre, *good)]
    best = descend(min(found, key=lambda one: one.fun).x, ITERATIONS)
    step = 1e-2
    rows = []
    for i in range(centre.size):
        shift = np.zeros_like(centre)
        shift[i] = step
        rows.append((target(best.x + shift)[1] - target(best.x - shift)[1]) / (2 * step))
    hessian = 0.5 * (np.array(rows) + np.array(rows).T)
    values, vectors = np.linalg.eigh(hessian)
    covariance = (vectors / np.maximum(np.abs(values), 1.0)) @ vectors.T
    return {"mode": centre + scale * best.x, "covariance": covariance * np.outer(scale, scale)}
