"""A function with a forward-mode and a reverse-mode derivative of its own.

JAX's `custom_jvp` and `custom_vjp` each close the other way. A long time integration wants both: forward
mode for a tangent or two without memory, reverse mode with checkpoints and a hand-written transpose. Here
the tangent map is one primitive whose evaluation is the forward code and whose transpose is the reverse
code. The reverse sweep starts from what the primal run stored, so no run is made twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.core
import jax.numpy as jnp
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
        return forward(*inputs)

    def rule(primals: Any, tangents: Any):
        active = [i for i, t in enumerate(tangents) if not _is_zero(t)]

        def of(kind: Callable, fixed: Any, moving: Any):
            whole = list(fixed)
            for i, value in zip(active, moving, strict=True):
                whole[i] = value
            return kind(*whole)

        moving = [primals[i] for i in active]
        out, pull = jax.vjp(lambda *m: of(reverse, primals, m), *moving)
        residuals, tree = jax.tree.flatten(pull)

        def push_through(stored, moved):
            fixed = stored[len(residuals) :]
            _, result = jax.jvp(lambda *m: of(forward, fixed, m), tuple(fixed[i] for i in active), tuple(moved))
            return list(result)

        def pull_back(stored, cotangents):
            return jax.tree.unflatten(tree, stored[: len(residuals)])(list(cotangents))

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
