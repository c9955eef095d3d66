"""Transposes of elementwise functions.

The derivative of such a function by a field is diagonal, so one tangent gives its transpose. Each scalar parameter
takes one tangent and a sum over the points. Left to JAX, that sum repeats the whole computation in a
loop that is not vectorised: 3 to 10 times as long. Within a loop over stages the sum is postponed to the end
(`zero_cotangents`, `reduce_cotangents`): a dot product for every parameter and stage took a third of the reverse sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree


def zero_cotangents(parameters: PyTree, points: Array) -> PyTree:
    """Zeros to which the cotangents that `transpose` gives can be added.

    Args:
        parameters: the parameters of the elementwise function.
        points: an array of the shape of its fields; the cotangent of a scalar parameter has this shape.
    """
    return jax.tree.map(lambda leaf: jnp.zeros_like(points if jnp.ndim(leaf) == 0 else leaf), parameters)


def _is_elementwise(leaf: Array, points: Array) -> bool:
    """Whether a parameter is a scalar, or has one value for each point."""
    return leaf.ndim == 0 or leaf.shape == points.shape


def reduce_cotangents(parameters: PyTree, cotangents: PyTree) -> PyTree:
    """The cotangents of the parameters from those that `transpose` gives: sums over the points for scalar ones."""
    return jax.tree.map(lambda leaf, ct: jnp.sum(ct) if jnp.ndim(leaf) == 0 else ct, parameters, cotangents)


def transpose(
    function: Callable, parameters: PyTree, fields: tuple[Array, ...], cotangent: Array
) -> tuple[PyTree, tuple[Array, ...]]:
    """The transpose of the derivative of `function(parameters, *fields)`.

    Args:
        function: elementwise in the fields, all of which have the shape of the result.
        parameters: floating scalars, arrays with one value for each point, and other arrays (weights of a network),
            whose cotangents come from `jax.vjp`.
        fields: where the derivative is taken.
        cotangent: cotangent of the result.

    Returns:
        The cotangents of the parameters, with one value for each point where a parameter is scalar (see
        `reduce_cotangents`), and the cotangents of the fields.
    """
    leaves, tree = jax.tree.flatten(parameters)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    def as_function_of_leaf(i: int) -> Callable:
        return lambda leaf: function(jax.tree.unflatten(tree, [*leaves[:i], leaf, *leaves[i + 1 :]]), *fields)

    def as_function_of_field(i: int) -> Callable:
        return lambda field: function(parameters, *fields[:i], field, *fields[i + 1 :])

    def tangent(f: Callable, at: Array) -> Array:
        return jax.jvp(f, (at,), (jnp.ones_like(at),))[1]

    ct_leaves = [
        tangent(as_function_of_leaf(i), leaf) * cotangent
        if _is_elementwise(leaf, cotangent)
        else jax.vjp(as_function_of_leaf(i), leaf)[1](cotangent)[0]
        for i, leaf in enumerate(leaves)
    ]
    ct_fields = tuple(tangent(as_function_of_field(i), x) * cotangent for i, x in enumerate(fields))
    return jax.tree.unflatten(tree, ct_leaves), ct_fields


def with_transpose(function: Callable) -> Callable:
    """The elementwise `function(parameters, field, *constants)`, differentiated in reverse mode by `transpose`.

    The result has no forward mode, and the cotangents of the constants are 0.
    """

    @jax.custom_vjp
    def reversible(parameters: PyTree, field: Array, *constants: Any) -> Array:
        return function(parameters, field, *constants)

    def forward(parameters, field, *constants):
        return function(parameters, field, *constants), (parameters, field, constants)

    def backward(residuals, cotangent):
        parameters, field, constants = residuals
        # barriers on both sides: fused with what comes before and after, all of it is computed many times
        field, cotangent = lax.optimization_barrier((field, cotangent))
        ct_parameters, (ct_field,) = transpose(lambda p, f: function(p, f, *constants), parameters, (field,), cotangent)
        ct_parameters, ct_field = lax.optimization_barrier((ct_parameters, ct_field))
        return (
            reduce_cotangents(parameters, ct_parameters),
            ct_field,
            *(jnp.zeros_like(constant) for constant in constants),
        )

    reversible.defvjp(forward, backward)
    return reversible
