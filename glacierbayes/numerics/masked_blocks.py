"""Evaluation of a costly elementwise function at a masked subset of points.

Ice covers a quarter of a window, but lies in most of its rows. The active points are gathered into blocks of one size,
and only as many blocks are evaluated as there are. JAX has no transpose of a loop whose length is not known at
compile time, so it is written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, PyTree

BLOCK_SIZE = 256  # points


def masked_block_map(
    mask: Bool[Array, " points"], function: Callable, parameters: PyTree, points: PyTree, reverse_mode: bool
) -> PyTree:
    """`function(parameters, points)` where the mask is true, and 0 elsewhere, evaluated at the points of the mask only.

    `jnp.where` would evaluate it everywhere. Here the points of the mask are gathered into blocks of `BLOCK_SIZE`.

    Args:
        mask: the points at which the function is evaluated.
        function: elementwise, from the parameters and a pytree of vectors to a pytree of vectors of the same length.
        parameters: what the function may be differentiated by besides the points; leaves that are no floating arrays
            reach the function unchanged.
        points: a pytree of vectors of the length of the mask.
        reverse_mode: whether the result is open to reverse mode only; it is open to forward mode only otherwise.
    """
    size = mask.shape[0]
    arrays, static = eqx.partition(parameters, eqx.is_inexact_array)
    rank = jnp.cumsum(mask) - 1  # of every active point among the active points
    length = size + -size % BLOCK_SIZE
    # the last block is filled up with an active point too: elsewhere the function may have no derivative
    order = jnp.full(length, jnp.argmax(mask)).at[jnp.where(mask, rank, length)].set(jnp.arange(size), mode="drop")
    blocks = (rank[-1] + BLOCK_SIZE) // BLOCK_SIZE

    def apply(arrays: PyTree, part: PyTree) -> PyTree:
        return function(eqx.combine(arrays, static), part)

    def block_indices(order: Array, block: Array) -> Array:
        return lax.dynamic_slice(order, (block * BLOCK_SIZE,), (BLOCK_SIZE,))

    def gather(points: PyTree, indices: Array) -> PyTree:
        return jax.tree.map(lambda field: field[indices], points)

    def write_block(packed: PyTree, values: PyTree, block: Array) -> PyTree:
        return jax.tree.map(lambda p, v: lax.dynamic_update_slice(p, v, (block * BLOCK_SIZE,)), packed, values)

    def scatter(packed: PyTree, rank: Array, mask: Array) -> PyTree:
        return jax.tree.map(lambda p: jnp.where(mask, p[rank], 0.0), packed)

    def evaluate(arrays: PyTree, points: PyTree, order: Array, blocks: Array, rank: Array, mask: Array) -> PyTree:
        def body(block: Array, packed: PyTree) -> PyTree:
            return write_block(packed, apply(arrays, gather(points, block_indices(order, block))), block)

        out = jax.eval_shape(apply, arrays, gather(points, order[:BLOCK_SIZE]))
        packed = jax.tree.map(lambda o: jnp.zeros(length, o.dtype), out)
        return scatter(lax.fori_loop(0, blocks, body, packed), rank, mask)

    def forward(*args: Any) -> tuple[PyTree, Any]:
        return evaluate(*args), args

    def backward(args: Any, cotangent: PyTree) -> tuple:
        arrays, points, order, blocks, rank, mask = args

        def body(block: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            ct_arrays, packed = carry
            indices = block_indices(order, block)
            counted = jnp.arange(BLOCK_SIZE) + block * BLOCK_SIZE <= rank[-1]
            ct_block = jax.tree.map(lambda ct: jnp.where(counted, ct[indices], 0.0), cotangent)
            ct_more, ct_points = jax.vjp(apply, arrays, gather(points, indices))[1](ct_block)
            return jax.tree.map(jnp.add, ct_arrays, ct_more), write_block(packed, ct_points, block)

        zeros = jax.tree.map(jnp.zeros_like, arrays)
        packed = jax.tree.map(lambda field: jnp.zeros(length, field.dtype), points)
        ct_arrays, packed = lax.fori_loop(0, blocks, body, (zeros, packed))
        return ct_arrays, scatter(packed, rank, mask), None, None, None, None

    run = evaluate
    if reverse_mode:
        run = jax.custom_vjp(evaluate)
        run.defvjp(forward, backward)
    return run(arrays, points, order, blocks, rank, mask)
