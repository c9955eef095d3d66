"""A function with a forward-mode and a reverse-mode derivative of its own.

JAX's `custom_jvp` and `custom_vjp` each close the other way. A long time integration wants both: forward
mode for a tangent or two without memory, reverse mode with checkpoints and a hand-written transpose. Here
the tangent map is one primitive whose evaluation is the forward code and whose transpose is the reverse
code. The reverse sweep starts from what the primal run stored, so no run is made twice.

A batch runs one by one: in step, every member would pay for the steps and stages of the slowest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.core
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_tangent_map = Primitive("glacierbayes_tangent_map")
_tangent_map.multiple_results = True


def _impl(*args, push: Callable, pull: Callable, stored: int):
    return push(tuple(args[:stored]), tuple(args[stored:]))


def _abstract(*args, push: Callable, pull: Callable, stored: int):
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in args]
    out = jax.eval_shape(push, tuple(shapes[:stored]), tuple(shapes[stored:]))
    return [jax.core.ShapedArray(o.shape, o.dtype) for o in out]


def _transpose(cotangents, *args, push: Callable, pull: Callable, stored: int):
    filled = [ad.instantiate_zeros(ct) for ct in cotangents]
    return [None] * stored + list(pull(args[:stored], filled))


def _batch(args, dims, *, push: Callable, pull: Callable, stored: int):
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    kept = tuple(dims[:stored])  # None where not mapped, as in vmap

    def first(tangent: Any, dim: int | None) -> Any:
        # one that is not mapped is spread out here, so that the transpose of the spreading adds up the batch
        return jnp.broadcast_to(tangent, (size, *tangent.shape)) if dim is None else jnp.moveaxis(tangent, dim, 0)

    def mapped(kind: Callable) -> Callable:
        return jax.vmap(lambda a, b: kind(a, b), in_axes=(kept, 0), out_axes=0)

    tangents = map(first, args[stored:], dims[stored:])
    out = _tangent_map.bind(*args[:stored], *tangents, push=mapped(push), pull=mapped(pull), stored=stored)
    return out, [0] * len(out)


def one_by_one(function: Callable) -> Callable:
    """`function(*arrays)`, whose batch under `jax.vmap` is a loop."""

    @custom_vmap
    def looped(*args):
        return function(*args)

    @looped.def_vmap
    def _rule(size, batched, *args):
        def lane(moving: Any) -> Any:
            moving = iter(moving)
            return looped(*(next(moving) if b else a for a, b in zip(args, batched, strict=True)))

        out = lax.map(lane, [a for a, b in zip(args, batched, strict=True) if b])
        return out, jax.tree.map(lambda _: True, out)

    return looped


_tangent_map.def_impl(_impl)
_tangent_map.def_abstract_eval(_abstract)
ad.primitive_transposes[_tangent_map] = _transpose
batching.primitive_batchers[_tangent_map] = _batch
mlir.register_lowering(_tangent_map, mlir.lower_fun(_impl, multiple_results=True))


def twofold(forward: Callable, reverse: Callable) -> Callable:
    """One function from two that compute the same: one that JAX can push through, one that it can pull.

    Args:
        forward: arrays -> list of floating arrays, closing over no traced array; used in `jax.jvp`.
        reverse: the same values; used in `jax.grad`, and for the values.
    """

    @jax.custom_jvp
    def function(*inputs):
        return one_by_one(forward)(*inputs)

    def rule(primals: Any, tangents: Any):
        active = [i for i, t in enumerate(tangents) if not _is_zero(t)]

        def of(kind: Callable, fixed: Any, moving: Any):
            whole = list(fixed)
            for i, value in zip(active, moving, strict=True):
                whole[i] = value
            return kind(*whole)

        moving = [primals[i] for i in active]
        trees = []

        def run(*inputs):
            fixed, moving = inputs[: len(primals)], inputs[len(primals) :]
            out, pull = jax.vjp(lambda *m: of(reverse, fixed, m), *moving)
            residuals, tree = jax.tree.flatten(pull)
            trees.append(tree)
            return list(out), residuals

        out, residuals = one_by_one(run)(*primals, *moving)
        tree = trees[-1]

        def push(*parts):
            fixed, moved = parts[: len(primals)], parts[len(primals) :]
            _, result = jax.jvp(lambda *m: of(forward, fixed, m), tuple(fixed[i] for i in active), tuple(moved))
            return list(result)

        def pull(*parts):
            return list(jax.tree.unflatten(tree, parts[: len(residuals)])(list(parts[len(residuals) :])))

        def push_through(stored, moved):
            return one_by_one(push)(*stored[len(residuals) :], *moved)

        def pull_back(stored, cotangents):
            return one_by_one(pull)(*stored[: len(residuals)], *cotangents)

        # everything travels as an operand: a closure over traced arrays could not be lowered
        stored = [*residuals, *primals]
        result = _tangent_map.bind(
            *stored, *[tangents[i] for i in active], push=push_through, pull=pull_back, stored=len(stored)
        )
        return out, list(result)

    function.defjvp(rule, symbolic_zeros=True)
    return function


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is jax.custom_derivatives.SymbolicZero
