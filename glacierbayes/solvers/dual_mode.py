"""Functions with custom rules for both forward-mode and reverse-mode differentiation.

A function with a `custom_jvp` of JAX has no custom reverse mode, and one with a `custom_vjp` has no forward mode. A
long time integration needs both: forward mode for one or two tangents without memory, and reverse mode with checkpoints
and a hand-written transpose. Here values and tangents together are one primitive, which the forward code evaluates. In
reverse mode only the values are known at first, and the primitive is split in two: the run of the reverse code, which
stores the residuals of its backward sweep, and a linear tangent map whose transpose is that sweep. No mode runs the
function twice.

The members of a batch run one after the other. If they ran together, each would take the steps of the slowest.
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

_values_and_tangents = Primitive("glacierbayes_values_and_tangents")
_tangent_map = Primitive("glacierbayes_tangent_map")
_values_and_tangents.multiple_results = _tangent_map.multiple_results = True


Shapes = tuple[tuple[int, ...], ...]


class DerivativeRules(NamedTuple):
    """The rules by which one function and its derivatives are evaluated.

    Attributes:
        run: maps primals to values and residuals.
        push: maps primals and tangents to values and tangents (forward mode).
        pull: maps residuals and cotangents of the values to cotangents of the inputs (reverse mode).
        values, tangents: shapes of values and tangents. They are given, since to find them takes as long as to trace a
            run.
    """

    run: Callable
    push: Callable
    pull: Callable
    values: Shapes
    tangents: Shapes

    def for_batch(self, size: int) -> DerivativeRules:
        """The rules for a batch of runs: every array has the batch as its first dimension."""

        def push(primals: Any, tangents: Any) -> Any:
            return lax.map(lambda one: self.push(*one), (primals, tangents))

        shapes = _batched(self.values, size), _batched(self.tangents, size)
        return DerivativeRules(jax.vmap(self.run), push, jax.vmap(self.pull), *shapes)

    def for_tangent_batch(self, size: int) -> DerivativeRules:
        """The rules for one run with a batch of tangents or cotangents, which share the run."""
        push, pull = jax.vmap(self.push, (None, 0), (None, 0)), jax.vmap(self.pull, (None, 0))
        return DerivativeRules(self.run, push, pull, self.values, _batched(self.tangents, size))


def _batched(shapes: Shapes, size: int) -> Shapes:
    return tuple((size, *shape) for shape in shapes)


def _jvp_impl(*args, rules: DerivativeRules, stored: int, primals: int):
    values, tangents = rules.push(args[:primals], args[primals:])
    return [*values, *tangents]


def _jvp_partial_eval(trace, *tracers, rules: DerivativeRules, stored: int, primals: int):
    """The rule for reverse mode, in which the primals are known and the tangents are not."""
    known = [tracer.pval.get_known() for tracer in tracers[:primals]]
    if any(value is None for value in known):
        return trace.default_process_primitive(
            _values_and_tangents, tracers, dict(rules=rules, stored=stored, primals=primals)
        )
    values, residuals = rules.run(known)
    operands = [*map(trace.instantiate_const, map(trace.new_const, (*residuals, *known))), *tracers[primals:]]
    counts = dict(rules=rules, stored=len(residuals), primals=primals)
    return [*values, *trace.default_process_primitive(_tangent_map, operands, counts)]


def _tangent_impl(*args, rules: DerivativeRules, stored: int, primals: int):
    return rules.push(args[stored : stored + primals], args[stored + primals :])[1]


def _tangent_transpose(cotangents, *args, rules: DerivativeRules, stored: int, primals: int):
    filled = [ad.instantiate_zeros(ct) for ct in cotangents]
    return [None] * (stored + primals) + list(rules.pull(args[:stored], filled))


def _batch(primitive: Primitive) -> Callable:
    def rule(args, dims, *, rules: DerivativeRules, stored: int, primals: int):
        size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)

        def batch_first(array: Any, dim: int | None) -> Any:
            # one that is not mapped is spread out here, so that the transpose of the spreading adds up the batch
            return jnp.broadcast_to(array, (size, *array.shape)) if dim is None else jnp.moveaxis(array, dim, 0)

        fixed = primals + stored
        tangents = map(batch_first, args[fixed:], dims[fixed:])
        if all(dim is None for dim in dims[:fixed]):
            out = primitive.bind(
                *args[:fixed], *tangents, rules=rules.for_tangent_batch(size), stored=stored, primals=primals
            )
            values = 0 if primitive is _tangent_map else len(out) // 2
            return out, [None] * values + [0] * (len(out) - values)
        everything = [*map(batch_first, args[:fixed], dims[:fixed]), *tangents]
        out = primitive.bind(*everything, rules=rules.for_batch(size), stored=stored, primals=primals)
        return out, [0] * len(out)

    return rule


def _register(primitive: Primitive, implementation: Callable, shapes: Callable[[DerivativeRules], Shapes]) -> None:
    def abstract(*args, rules: DerivativeRules, **counts):
        return [jax.core.ShapedArray(shape, args[-1].dtype) for shape in shapes(rules)]

    primitive.def_impl(implementation)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = _batch(primitive)
    mlir.register_lowering(primitive, mlir.lower_fun(implementation, multiple_results=True))


_register(_values_and_tangents, _jvp_impl, lambda rules: rules.values + rules.tangents)
_register(_tangent_map, _tangent_impl, lambda rules: rules.tangents)
partial_eval.custom_partial_eval_rules[_values_and_tangents] = _jvp_partial_eval
ad.primitive_transposes[_tangent_map] = _tangent_transpose


def one_by_one(function: Callable) -> Callable:
    """`function(*arrays)`, for which `jax.vmap` becomes a loop over the members of the batch."""

    @custom_vmap
    def looped(*args):
        return function(*args)

    @looped.def_vmap
    def _rule(size, batched, *args):
        def member(mapped: Any) -> Any:
            mapped = iter(mapped)
            return looped(*(next(mapped) if b else a for a, b in zip(args, batched, strict=True)))

        out = lax.map(member, [a for a, b in zip(args, batched, strict=True) if b])
        return out, jax.tree.map(lambda _: True, out)

    return looped


def dual_mode(forward: Callable, reverse: Callable, shapes: Sequence[tuple[int, ...]]) -> Callable:
    """One function from two that compute the same values: one for forward mode, and one for reverse mode.

    Args:
        forward: takes arrays and gives a list of floating arrays; it closes over no traced array. It gives the values
            without derivatives, and is differentiated in forward mode.
        reverse: gives the same values. It gives the values within `jax.grad`, and is differentiated in reverse mode.
        shapes: shapes of the values.

    Returns:
        A function of the same arrays, differentiable in both modes.
    """

    @jax.custom_jvp
    def function(*inputs):
        return one_by_one(forward)(*inputs)

    def rule(inputs: Any, tangents: Any):
        active = [i for i, t in enumerate(tangents) if not _is_zero(t)]

        def call(variant: Callable, primals: Any, replaced: Any):
            arguments = list(primals)
            for i, value in zip(active, replaced, strict=True):
                arguments[i] = value
            return variant(*arguments)

        trees = []

        def run(*primals):
            out, pull = jax.vjp(lambda *m: call(reverse, primals, m), *(primals[i] for i in active))
            stored, tree = jax.tree.flatten(pull)
            trees.append(tree)
            return list(out), stored

        def push(*parts):
            primals, directions = parts[: len(inputs)], parts[len(inputs) :]
            at = tuple(primals[i] for i in active)
            return jax.jvp(lambda *m: call(forward, primals, m), at, tuple(directions))

        def pull(count, *parts):
            return list(jax.tree.unflatten(trees[-1], parts[:count])(list(parts[count:])))

        rules = DerivativeRules(
            lambda primals: one_by_one(run)(*primals),
            lambda primals, directions: push(*primals, *directions),
            lambda stored, cotangents: one_by_one(partial(pull, len(stored)))(*stored, *cotangents),
            tuple(shapes),
            tuple(shapes),
        )
        result = _values_and_tangents.bind(
            *inputs, *(tangents[i] for i in active), rules=rules, stored=0, primals=len(inputs)
        )
        half = len(result) // 2
        return result[:half], result[half:]

    function.defjvp(rule, symbolic_zeros=True)
    return function


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is jax.custom_derivatives.SymbolicZero
