"""The stages with their transpose written out, for reverse mode."""

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
from glacierbayes.solvers import legendre
from glacierbayes.solvers.legendre import MOST_STAGES, coefficients, combine, first_share, reached, stage_thickness


def mean_flux_of(equation: ShallowIce, start: Array, rate: Array, step: Array, stages: Array) -> Flux:
    """`legendre.mean_flux`, open to reverse mode in law, bed, start and rate."""
    rest = eqx.tree_at(lambda e: (e.laws, e.bed, e.balance), equation, (None, None, None), is_leaf=lambda x: x is None)
    return mean_flux(equation.laws, equation.bed, start, rate, rest, step, stages)


@jax.custom_vjp
def mean_flux(laws, bed, start, rate, rest, step, stages):
    """`legendre.mean_flux` with its transpose written out; `rest` is the equation without what is differentiated."""
    return legendre.mean_flux(_with(rest, laws, bed), start, rate, step, stages)


def _with(rest: ShallowIce, laws: Any, bed: Any) -> ShallowIce:
    return eqx.tree_at(lambda e: (e.laws, e.bed), rest, (laws, bed), is_leaf=lambda x: x is None)


def _forward(laws, bed, start, rate, rest, step, stages):
    """The same, keeping the thickness that the flux of every stage was taken at."""
    equation = _with(rest, laws, bed)
    state = equation.layout.state
    first = lax.optimization_barrier(equation.flux(state(start)))
    one = Flux(first_share(stages) * first.x, first_share(stages) * first.y)

    def stage(j, last: Flux, before: Flux, kept: Array) -> tuple[Flux, Array]:
        h = stage_thickness(equation, start, rate, step, reached(j - 1, stages), last)
        kept = lax.dynamic_update_slice(kept, h[None], (j, 0))
        now = equation.flux(state(h))
        return lax.optimization_barrier(combine(coefficients(j, stages), last, before, now, first)), kept

    def pair(i, carry):
        before, last, kept = carry
        before, kept = stage(2 * i + 2, last, before, kept)
        last, kept = stage(2 * i + 3, before, last, kept)
        return before, last, kept

    zero = jax.tree.map(jnp.zeros_like, first)
    kept = lax.empty((MOST_STAGES + 1, start.shape[0]), start.dtype)
    _, flux, kept = lax.fori_loop(0, (stages - 1) // 2, pair, (zero, one, kept))
    return flux, (laws, bed, start, rest, step, stages, kept)


def _backward(residuals, cotangent: Flux):
    laws, bed, start, rest, step, stages, kept = residuals
    equation = _with(rest, laws, bed)
    state, cells = equation.layout.state, start.shape[0]

    class Sums(NamedTuple):
        laws: Any
        first: Array
        start: Array
        surface: Array
        rate: Array

    # The cotangent of the flux of a stage is a share of the flux's own plus the transposed divergence of a field on
    # cells: shares and fields follow the recursion, half as much to carry as fluxes.
    def of_flux(share: Array, field: Array) -> Flux:
        back = equation.divergence_transpose(field)
        return Flux(share * cotangent.x + back.x, share * cotangent.y + back.y)

    def back(j, share: Array, above: Array, field: Array, field_above: Array, sums: Sums):
        """From the shares and fields of stages j and j + 1 to those of stage j - 1."""
        c = coefficients(j, stages)
        twice = coefficients(j + 1, stages).before
        h = lax.dynamic_slice(kept, (j, 0), (1, cells))[0]
        weighted = of_flux(c.rate * share, c.rate * field)
        of_laws, of_thickness, of_surface = equation.flux_transpose(state(h), lax.optimization_barrier(weighted))
        of_h = lax.optimization_barrier(jnp.where(h > 0, of_thickness + of_surface, 0.0))
        sums = Sums(
            jax.tree.map(jnp.add, sums.laws, of_laws),
            sums.first + c.first_rate * field,
            sums.start + of_h,
            sums.surface + of_surface,
            sums.rate + (step * reached(j - 1, stages)) * of_h,
        )
        below = c.last * field + twice * field_above - step * lax.optimization_barrier(equation.layout.slopes(of_h))
        return lax.optimization_barrier((c.last * share + twice * above, below, sums))

    def back_pair(i, carry):
        j = stages - 2 * i
        above, share, of_first, field_above, field, sums = carry
        of_first += coefficients(j, stages).first_rate * share
        below, field_below, sums = back(j, share, above, field, field_above, sums)
        of_first += coefficients(j - 1, stages).first_rate * below
        last, field_last, sums = back(j - 1, below, share, field_below, field, sums)
        return below, last, of_first, field_below, field_last, sums

    nothing, none = jnp.zeros_like(start), jnp.zeros(())
    nowhere = equation.layout.slopes(nothing)
    sums = Sums(elementwise.spread(laws, cotangent.x), nowhere, nothing, nothing, nothing)
    carry = (none, jnp.ones(()), none, nowhere, nowhere, sums)
    _, share, of_first, _, field, sums = lax.fori_loop(0, (stages - 1) // 2, back_pair, carry)
    of_first = of_flux(of_first + first_share(stages) * share, sums.first + first_share(stages) * field)
    of_laws, of_thickness, of_surface = equation.flux_transpose(state(start), lax.optimization_barrier(of_first))
    none = jax.tree.map(_zero_cotangent, (rest, step, stages))
    return (
        elementwise.summed(laws, lax.optimization_barrier(jax.tree.map(jnp.add, sums.laws, of_laws))),
        state(lax.optimization_barrier(sums.surface + of_surface)),
        sums.start + of_thickness + of_surface,
        sums.rate,
        *none,
    )


def _zero_cotangent(leaf: Any) -> Any:
    if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return jnp.zeros_like(leaf)
    return np.zeros(jnp.shape(leaf), jax.dtypes.float0)


mean_flux.defvjp(_forward, _backward)
