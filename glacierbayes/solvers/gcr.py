"""Generalised conjugate residuals, truncated: a linear solve without a matrix.

Eisenstat, Elman and Schultz 1983, doi 10.1137/0720023. One product and one preconditioning a step, of which a good
preconditioner leaves few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

MOST_STEPS = 60
KEPT = 6  # directions that a new one is made orthogonal to
TINY = 1e-200


class _Descent(NamedTuple):
    solution: Array
    residual: Array
    directions: Array
    images: Array
    steps: Array


def gcr(matrix: Callable, precondition: Callable, right: Array, tolerance: float) -> Array:
    """The solution of matrix(x) = right.

    Args:
        matrix: a linear function of a vector.
        precondition: about its inverse; it need not be the same function in every step.
        right: a vector.
        tolerance: of the residual, relative to `right`.
    """
    goal = tolerance * jnp.linalg.norm(right)

    def going_on(d: _Descent) -> Array:
        return (jnp.linalg.norm(d.residual) > goal) & (d.steps < MOST_STEPS)

    def descend(d: _Descent) -> _Descent:
        direction = precondition(d.residual)
        image = lax.optimization_barrier(matrix(direction))
        along = d.images @ image
        direction, image = direction - along @ d.directions, image - along @ d.images
        scale = 1 / jnp.maximum(jnp.linalg.norm(image), TINY)
        direction, image = lax.optimization_barrier((scale * direction, scale * image))
        share = jnp.vdot(image, d.residual)
        slot = d.steps % KEPT
        return _Descent(
            d.solution + share * direction,
            d.residual - share * image,
            d.directions.at[slot].set(direction),
            d.images.at[slot].set(image),
            d.steps + 1,
        )

    none = jnp.zeros((KEPT, right.shape[0]))
    start = _Descent(jnp.zeros_like(right), right, none, none, jnp.asarray(0))
    return lax.while_loop(going_on, descend, start).solution
