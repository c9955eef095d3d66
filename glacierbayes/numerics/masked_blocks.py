"""A costly function of points, evaluated where it is wanted only.

Ice covers a quarter of a window, but lies in most of its rows. The wanted points are gathered into blocks, and as many
blocks are evaluated as there are; a loop of a length that is not known has no transpose in JAX, so it is written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, PyTree

BLOCK = 256  # points


def where(
    wanted: Bool[Array, " points"], function: Callable, parameters: PyTree, points: PyTree, transposed: bool
) -> PyTree:
    """`function(parameters, points)` where wanted, 0 elsewhere.

    Args:
        wanted: which points.
        function: (parameters, a pytree of vectors) -> a pytree of vectors, point by point.
        parameters: what may be differentiated besides the points; leaves that are no arrays are left alone.
        points: vectors.
        transposed: open to reverse mode only, or else to forward mode only.
    """
    size = wanted.shape[0]
    arrays, rest = eqx.partition(parameters, eqx.is_inexact_array)
    place = jnp.cumsum(wanted) - 1
    length = size + -size % BLOCK
    # what fills up the last block is a wanted point too: at others the function may have no derivative
    order = jnp.full(length, jnp.argmax(wanted)).at[jnp.where(wanted, place, length)].set(jnp.arange(size), mode="drop")
    blocks = (place[-1] + BLOCK) // BLOCK

    def on(arrays: PyTree, part: PyTree) -> PyTree:
        return function(eqx.combine(arrays, rest), part)

    def chosen(order: Array, block: Array) -> Array:
        return lax.dynamic_slice(order, (block * BLOCK,), (BLOCK,))

    def at(points: PyTree, chosen: Array) -> PyTree:
        return jax.tree.map(lambda field: field[chosen], points)

    def written(packed: PyTree, values: PyTree, block: Array) -> PyTree:
        return jax.tree.map(lambda p, v: lax.dynamic_update_slice(p, v, (block * BLOCK,)), packed, values)

    def spread(packed: PyTree, place: Array, wanted: Array) -> PyTree:
        return jax.tree.map(lambda p: jnp.where(wanted, p[place], 0.0), packed)

    def evaluate(arrays: PyTree, points: PyTree, order: Array, blocks: Array, place: Array, wanted: Array) -> PyTree:
        out = jax.eval_shape(on, arrays, at(points, order[:BLOCK]))
        packed = jax.tree.map(lambda o: jnp.zeros(length, o.dtype), out)
        packed = lax.fori_loop(
            0, blocks, lambda b, packed: written(packed, on(arrays, at(points, chosen(order, b))), b), packed
        )
        return spread(packed, place, wanted)

    def forward(*args: Any) -> tuple[PyTree, Any]:
        return evaluate(*args), args

    def backward(args: Any, cotangent: PyTree) -> tuple:
        arrays, points, order, blocks, place, wanted = args

        def body(block: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            of_arrays, packed = carry
            which = chosen(order, block)
            inside = jnp.arange(BLOCK) + block * BLOCK <= place[-1]
            pulled = jax.tree.map(lambda ct: jnp.where(inside, ct[which], 0.0), cotangent)
            more, of_part = jax.vjp(on, arrays, at(points, which))[1](pulled)
            return jax.tree.map(jnp.add, of_arrays, more), written(packed, of_part, block)

        none = jax.tree.map(jnp.zeros_like, arrays)
        packed = jax.tree.map(lambda field: jnp.zeros(length, field.dtype), points)
        of_arrays, packed = lax.fori_loop(0, blocks, body, (none, packed))
        return of_arrays, spread(packed, place, wanted), None, None, None, None

    run = evaluate
    if transposed:
        run = jax.custom_vjp(evaluate)
        run.defvjp(forward, backward)
    return run(arrays, points, order, blocks, place, wanted)
