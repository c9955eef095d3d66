"""The transpose of the stages of RKL2, written out for reverse mode."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from glacierbayes.numerics import elementwise
from glacierbayes.physics.sia import Flux, ShallowIce
from glacierbayes.solvers import rkl2
from glacierbayes.solvers.rkl2 import MAX_STAGES, coefficients, first_stage_weight, stage_fraction


def mean_flux(equation: ShallowIce, start: Array, rate: Array, step: Array, stages: Array) -> Flux:
    """`rkl2.mean_flux`, open to reverse mode only, by the laws, the bed, the thickness at the start and the balance."""
    rest = eqx.tree_at(lambda e: (e.laws, e.bed, e.balance), equation, (None, None, None), is_leaf=lambda x: x is None)
    return _mean_flux(equation.laws, equation.bed, start, rate, rest, step, stages)


@jax.custom_vjp
def _mean_flux(laws, bed, start, rate, rest, step, stages):
    """The mean flux; `rest` is the equation without its laws, bed and balance."""
    return rkl2.mean_flux(_complete(rest, laws, bed), start, rate, step, stages)


def _complete(rest: ShallowIce, laws: Any, bed: Any) -> ShallowIce:
    return eqx.tree_at(lambda e: (e.laws, e.bed), rest, (laws, bed), is_leaf=lambda x: x is None)


def _forward(laws, bed, start, rate, rest, step, stages):
    record = lax.empty((MAX_STAGES + 1, start.shape[0]), start.dtype)
    equation = _complete(rest, laws, bed)
    flux, record = rkl2.mean_flux_and_record(equation, start, rate, step, stages, record)
    return flux, (laws, bed, start, rest, step, stages, record)


class _Cotangents(NamedTuple):
    """Cotangents that are summed over the stages."""

    laws: Any
    first: Array
    start: Array
    surface: Array
    rate: Array


def _backward(residuals, cotangent: Flux):
    laws, bed, start, rest, step, stages, record = residuals
    equation = _complete(rest, laws, bed)
    state, cells = equation.layout.state, start.shape[0]

    # The cotangent of the flux of a stage is a multiple (the weight) of the cotangent of the mean flux, plus the
    # transposed divergence of a field on cells. Weights and fields follow the recursion of the stages; to carry a
    # field takes half the memory of a flux.
    def ct_flux(weight: Array, field: Array) -> Flux:
        back = equation.divergence_transpose(field)
        return Flux(weight * cotangent.x + back.x, weight * cotangent.y + back.y)

    def stage(j, weight: Array, weight_after: Array, field: Array, field_after: Array, sums: _Cotangents):
        """From the weights and fields of stages j and j + 1 to those of stage j - 1."""
        c = coefficients(j, stages)
        before = coefficients(j + 1, stages).before
        h = lax.dynamic_slice(record, (j, 0), (1, cells))[0]
        scaled = ct_flux(c.rate * weight, c.rate * field)
        ct_laws, ct_thickness, ct_surface = equation.flux_transpose(state(h), lax.optimization_barrier(scaled))
        ct_h = lax.optimization_barrier(jnp.where(h > 0, ct_thickness + ct_surface, 0.0))
        sums = _Cotangents(
            jax.tree.map(jnp.add, sums.laws, ct_laws),
            sums.first + c.first_rate * field,
            sums.start + ct_h,
            sums.surface + ct_surface,
            sums.rate + (step * stage_fraction(j - 1, stages)) * ct_h,
        )
        ct_divergence = step * lax.optimization_barrier(equation.layout.slopes(ct_h))
        field_before = c.last * field + before * field_after - ct_divergence
        return lax.optimization_barrier((c.last * weight + before * weight_after, field_before, sums))

    def two_stages(i, carry):
        j = stages - 2 * i
        weight_after, weight, first_weight, field_after, field, sums = carry
        first_weight += coefficients(j, stages).first_rate * weight
        middle, field_middle, sums = stage(j, weight, weight_after, field, field_after, sums)
        first_weight += coefficients(j - 1, stages).first_rate * middle
        last, field_last, sums = stage(j - 1, middle, weight, field_middle, field, sums)
        return middle, last, first_weight, field_middle, field_last, sums

    zeros, zero = jnp.zeros_like(start), jnp.zeros(())
    no_field = equation.layout.slopes(zeros)
    sums = _Cotangents(elementwise.zero_cotangents(laws, cotangent.x), no_field, zeros, zeros, zeros)
    carry = (zero, jnp.ones(()), zero, no_field, no_field, sums)
    _, weight, first_weight, _, field, sums = lax.fori_loop(0, (stages - 1) // 2, two_stages, carry)
    share = first_stage_weight(stages)
    ct_first = ct_flux(first_weight + share * weight, sums.first + share * field)
    ct_laws, ct_thickness, ct_surface = equation.flux_transpose(state(start), lax.optimization_barrier(ct_first))
    return (
        elementwise.reduce_cotangents(laws, lax.optimization_barrier(jax.tree.map(jnp.add, sums.laws, ct_laws))),
        state(lax.optimization_barrier(sums.surface + ct_surface)),
        sums.start + ct_thickness + ct_surface,
        sums.rate,
        *jax.tree.map(_zero_cotangent, (rest, step, stages)),
    )


def _zero_cotangent(leaf: Any) -> Any:
    if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return jnp.zeros_like(leaf)
    return np.zeros(jnp.shape(leaf), jax.dtypes.float0)


_mean_flux.defvjp(_forward, _backward)
