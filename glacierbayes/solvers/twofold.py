"""A function with a forward-mode and a reverse-mode derivative of its own.

JAX's `custom_jvp` and `custom_vjp` each close the other way. A long time integration wants both: forward
mode for a tangent or two without memory, reverse mode with checkpoints and a hand-written transpose. Here values and
tangents together are one primitive, evaluated by the forward code. Where only the values can be known (in reverse
mode), it falls into two: the reverse code's run, which stores what its sweep back starts from, and a tangent map whose
transpose is that sweep. Neither mode makes a run twice.

A batch runs one by one: in step, every member would pay for the steps and stages of the slowest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.core
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, partial_eval

_pushed = Primitive("glacierbayes_values_and_tangents")
_tangent_map = Primitive("glacierbayes_tangent_map")
_pushed.multiple_results = _tangent_map.multiple_results = True


Shapes = tuple[tuple[int, ...], ...]


class Ways(NamedTuple):
    """How one function is evaluated: of the primals, of primals and tangents, and back from the cotangents.

    Attributes:
        run: primals -> (values, what the way back needs).
        push: primals, tangents -> (values, tangents).
        pull: what `run` stored, cotangents -> cotangents of what is differentiated.
        values, tangents: shapes of both; known, because finding them out takes as long as tracing a run.
    """

    run: Callable
    push: Callable
    pull: Callable
    values: Shapes
    tangents: Shapes

    def mapped(self, size: int) -> Ways:
        """Of a batch: every array has it in front."""

        def push(primals: Any, tangents: Any) -> Any:
            return lax.map(lambda one: self.push(*one), (primals, tangents))

        shapes = _batched(self.values, size), _batched(self.tangents, size)
        return Ways(jax.vmap(self.run), push, jax.vmap(self.pull), *shapes)

    def fanned(self, size: int) -> Ways:
        """Of one run and a batch of tangents or cotangents: many tangents share the run."""
        push, pull = jax.vmap(self.push, (None, 0), (None, 0)), jax.vmap(self.pull, (None, 0))
        return Ways(self.run, push, pull, self.values, _batched(self.tangents, size))


def _batched(shapes: Shapes, size: int) -> Shapes:
    return tuple((size, *shape) for shape in shapes)


def _pushed_impl(*args, ways: Ways, stored: int, primals: int):
    values, tangents = ways.push(args[:primals], args[primals:])
    return [*values, *tangents]


def _pushed_partial(trace, *tracers, ways: Ways, stored: int, primals: int):
    """Reverse mode knows the primals only."""
    known = [tracer.pval.get_known() for tracer in tracers[:primals]]
    if any(value is None for value in known):
        return trace.default_process_primitive(_pushed, tracers, dict(ways=ways, stored=stored, primals=primals))
    values, kept = ways.run(known)
    operands = [*map(trace.instantiate_const, map(trace.new_const, (*kept, *known))), *tracers[primals:]]
    counts = dict(ways=ways, stored=len(kept), primals=primals)
    return [*values, *trace.default_process_primitive(_tangent_map, operands, counts)]


def _tangent_impl(*args, ways: Ways, stored: int, primals: int):
    return ways.push(args[stored : stored + primals], args[stored + primals :])[1]


def _tangent_transpose(cotangents, *args, ways: Ways, stored: int, primals: int):
    filled = [ad.instantiate_zeros(ct) for ct in cotangents]
    return [None] * (stored + primals) + list(ways.pull(args[:stored], filled))


def _batch(primitive: Primitive) -> Callable:
    def rule(args, dims, *, ways: Ways, stored: int, primals: int):
        size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)

        def first(array: Any, dim: int | None) -> Any:
            # one that is not mapped is spread out here, so that the transpose of the spreading adds up the batch
            return jnp.broadcast_to(array, (size, *array.shape)) if dim is None else jnp.moveaxis(array, dim, 0)

        fixed = primals + stored
        tangents = map(first, args[fixed:], dims[fixed:])
        if all(dim is None for dim in dims[:fixed]):
            out = primitive.bind(*args[:fixed], *tangents, ways=ways.fanned(size), stored=stored, primals=primals)
            values = 0 if primitive is _tangent_map else len(out) // 2
            return out, [None] * values + [0] * (len(out) - values)
        everything = [*map(first, args[:fixed], dims[:fixed]), *tangents]
        out = primitive.bind(*everything, ways=ways.mapped(size), stored=stored, primals=primals)
        return out, [0] * len(out)

    return rule


def _register(primitive: Primitive, implementation: Callable, shapes: Callable[[Ways], Shapes]) -> None:
    def abstract(*args, ways: Ways, **counts):
        return [jax.core.ShapedArray(shape, args[-1].dtype) for shape in shapes(ways)]

    primitive.def_impl(implementation)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = _batch(primitive)
    mlir.register_lowering(primitive, mlir.lower_fun(implementation, multiple_results=True))


_register(_pushed, _pushed_impl, lambda ways: ways.values + ways.tangents)
_register(_tangent_map, _tangent_impl, lambda ways: ways.tangents)
partial_eval.custom_partial_eval_rules[_pushed] = _pushed_partial
ad.primitive_transposes[_tangent_map] = _tangent_transpose


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


def twofold(forward: Callable, reverse: Callable, shapes: Sequence[tuple[int, ...]]) -> Callable:
    """One function from two that compute the same: one that JAX can push through, one that it can pull.

    Args:
        forward: arrays -> list of floating arrays, closing over no traced array; used in `jax.jvp`.
        reverse: the same values; used in `jax.grad`, and for the values.
        shapes: of the values.
    """

    @jax.custom_jvp
    def function(*inputs):
        return one_by_one(forward)(*inputs)

    def rule(inputs: Any, tangents: Any):
        active = [i for i, t in enumerate(tangents) if not _is_zero(t)]

        def of(kind: Callable, fixed: Any, moving: Any):
            whole = list(fixed)
            for i, value in zip(active, moving, strict=True):
                whole[i] = value
            return kind(*whole)

        trees = []

        def run(*primals):
            out, pull = jax.vjp(lambda *m: of(reverse, primals, m), *(primals[i] for i in active))
            stored, tree = jax.tree.flatten(pull)
            trees.append(tree)
            return list(out), stored

        def push(*parts):
            primals, moved = parts[: len(inputs)], parts[len(inputs) :]
            at = tuple(primals[i] for i in active)
            return jax.jvp(lambda *m: of(forward, primals, m), at, tuple(moved))

        def pull(count, *parts):
            return list(jax.tree.unflatten(trees[-1], parts[:count])(list(parts[count:])))

        ways = Ways(
            lambda primals: one_by_one(run)(*primals),
            lambda primals, moved: push(*primals, *moved),
            lambda stored, cotangents: one_by_one(partial(pull, len(stored)))(*stored, *cotangents),
            tuple(shapes),
            tuple(shapes),
        )
        result = _pushed.bind(*inputs, *(tangents[i] for i in active), ways=ways, stored=0, primals=len(inputs))
        half = len(result) // 2
        return result[:half], result[half:]

    function.defjvp(rule, symbolic_zeros=True)
    return function


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is jax.custom_derivatives.SymbolicZero
