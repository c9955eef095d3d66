"""Transposes of functions that act on every point by itself.

Such a function has a diagonal derivative in its fields, so one tangent gives its transpose, and each scalar
parameter takes one tangent and a sum over the points. Left to JAX, that sum repeats the whole computation in a
loop that is not vectorised: 3 to 10 times as long. In a loop it is put off to the end (`spread`): a dot product a
parameter and stage took a third of the reverse sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree


def spread(parameters: PyTree, points: Array) -> PyTree:
    """Zeros to add the cotangents of `transpose` to: a scalar parameter has one value a point."""
    return jax.tree.map(lambda leaf: jnp.zeros_like(points if jnp.ndim(leaf) == 0 else leaf), parameters)


def _by_point(leaf: Array, points: Array) -> bool:
    """Whether a parameter is a number, the same everywhere, or has one a point."""
    return leaf.ndim == 0 or leaf.shape == points.shape


def summed(parameters: PyTree, cotangents: PyTree) -> PyTree:
    """Cotangents of the parameters, the points of the scalar ones added up."""
    return jax.tree.map(lambda leaf, ct: jnp.sum(ct) if jnp.ndim(leaf) == 0 else ct, parameters, cotangents)


def transpose(
    function: Callable, parameters: PyTree, fields: tuple[Array, ...], cotangent: Array
) -> tuple[PyTree, tuple[Array, ...]]:
    """The transpose of the derivative of `function(parameters, *fields)`.

    Args:
        function: pointwise in the fields; all have the shape of the result.
        parameters: floating scalars, arrays of one value a point, and other arrays (weights of a network), which are
            left to JAX.
        fields: where the derivative is taken.
        cotangent: of the result.

    Returns:
        Cotangents of the parameters, for the scalar ones one value a point (see `summed`), and of the fields.
    """
    leaves, tree = jax.tree.flatten(parameters)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    def of_leaf(i: int) -> Callable:
        return lambda leaf: function(jax.tree.unflatten(tree, [*leaves[:i], leaf, *leaves[i + 1 :]]), *fields)

    def of_field(i: int) -> Callable:
        return lambda field: function(parameters, *fields[:i], field, *fields[i + 1 :])

    def tangent(f: Callable, at: Array) -> Array:
        return jax.jvp(f, (at,), (jnp.ones_like(at),))[1]

    of_leaves = [
        tangent(of_leaf(i), leaf) * cotangent
        if _by_point(leaf, cotangent)
        else jax.vjp(of_leaf(i), leaf)[1](cotangent)[0]
        for i, leaf in enumerate(leaves)
    ]
    of_fields = tuple(tangent(of_field(i), x) * cotangent for i, x in enumerate(fields))
    return jax.tree.unflatten(tree, of_leaves), of_fields


def transposed(function: Callable) -> Callable:
    """`function(parameters, field, *constants)` with its transpose in reverse mode (and no forward mode)."""

    @jax.custom_vjp
    def with_transpose(parameters: PyTree, field: Array, *constants: Any) -> Array:
        return function(parameters, field, *constants)

    def forward(parameters, field, *constants):
        return function(parameters, field, *constants), (parameters, field, constants)

    def backward(residuals, cotangent):
        parameters, field, constants = residuals
        # barriers on both sides: fused with what comes before and after, all of it is computed many times
        field, cotangent = lax.optimization_barrier((field, cotangent))
        of_parameters, (of_field,) = transpose(lambda p, f: function(p, f, *constants), parameters, (field,), cotangent)
        of_parameters, of_field = lax.optimization_barrier((of_parameters, of_field))
        return summed(parameters, of_parameters), of_field, *(jnp.zeros_like(constant) for constant in constants)

    with_transpose.defvjp(forward, backward)
    return with_transpose
