"""Stages of the second-order Runge-Kutta-Legendre method (RKL2), written for fluxes.

Meyer, Balsara and Aslam 2012, doi 10.1111/j.1365-2966.2012.20744.x: s stages are stable over (s^2 + s - 2) / 4 explicit
steps. The recursion is on the accumulated flux and not on the thickness, so that what a step takes from one cell
it gives to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.physics.sia import Flux, ShallowIce

MAX_STAGES = 51  # odd, since RKL2 with an odd number of stages damps better
STIFFNESS_SAFETY = 1.2  # factor on the stiffness, which may grow within a step


class Coefficients(NamedTuple):
    """The coefficients of one stage of RKL2.

    Attributes:
        last: of the flux accumulated up to the stage before.
        before: of the flux accumulated up to the stage before that.
        rate: of the flux at the thickness of the stage before.
        first_rate: of the flux at the start of the step.
    """

    last: Array
    before: Array
    rate: Array
    first_rate: Array


def _b(j: Array) -> Array:
    safe = jnp.maximum(j, 2.0)
    return jnp.where(j < 2, 1 / 3, (safe**2 + safe - 2) / (2 * safe * (safe + 1)))


def coefficients(j: Array, stages: Array) -> Coefficients:
    """The coefficients of stage j, counted from 1, of a step with a number of stages."""
    j = j.astype(float)
    last = (2 * j - 1) / j * _b(j) / _b(j - 1)
    rate = last * 4 / (stages**2 + stages - 2)
    return Coefficients(last, -(j - 1) / j * _b(j) / _b(j - 2), rate, -(1 - _b(j - 1)) * rate)


def first_stage_weight(stages: Array) -> Array:
    """The weight of the flux at the start of the step in the first stage, as a fraction of the step."""
    return 4 / (3 * (stages**2 + stages - 2.0))


def stage_fraction(j: Array, stages: Array) -> Array:
    """The time that stage j has reached, as a fraction of the step."""
    return jnp.where(j < 2, first_stage_weight(stages), (j**2 + j - 2) / (stages**2 + stages - 2.0))


def longest_stable_step(stiffness: Array) -> Array:
    """The longest step over which `MAX_STAGES` stages are stable, years; the stiffness is per year."""
    return (MAX_STAGES**2 + MAX_STAGES - 2) / 4 * 2 / (STIFFNESS_SAFETY * stiffness)


def stages_for_step(step: Array, stiffness: Array) -> Array:
    """The smallest odd number of stages that is stable over a step (years), at most `MAX_STAGES`."""
    explicit_steps = jnp.minimum(STIFFNESS_SAFETY * step * stiffness / 2, 1e6)
    stages = jnp.ceil(0.5 * (jnp.sqrt(9 + 16 * explicit_steps) - 1))
    odd = 2 * jnp.floor(stages / 2) + 1
    return jnp.clip(jnp.where(jnp.isfinite(odd), odd, 3), 3, MAX_STAGES).astype(int)


def _stage_thickness(
    equation: ShallowIce, start: Array, rate: Array, step: Array, fraction: Array, flux: Flux
) -> Array:
    """Thickness after a fraction of the step; a deficit is cut here and corrected at the end of the step."""
    h = start + step * (fraction * rate - equation.divergence(flux))
    # a barrier before what pads it: fused, the padding would keep the loop from being vectorised
    return lax.optimization_barrier(jnp.where(h > 0, h, 0.0) * equation.inside)


def _combine(c: Coefficients, last: Flux, before: Flux, current: Flux, first: Flux) -> Flux:
    def combine(a: Array, b: Array, f: Array, f0: Array) -> Array:
        return c.last * a + c.before * b + c.rate * f + c.first_rate * f0

    return Flux(combine(last.x, before.x, current.x, first.x), combine(last.y, before.y, current.y, first.y))


def mean_flux_and_record(
    equation: ShallowIce,
    start: Float[Array, " cells"],
    rate: Float[Array, " cells"],
    step: Array,
    stages: Array,
    record: Float[Array, "stage cells"] | None,
) -> tuple[Flux, Float[Array, "stage cells"] | None]:
    """The mean flux over a step, and the thickness at which each of its stages evaluates the flux.

    Args:
        equation: the shallow-ice equation.
        start: thickness at the start of the step, m.
        rate: mass balance, m of ice per year.
        step: length of the step, years.
        stages: an odd number of stages.
        record: an array that takes the thickness of the stages, row j that of stage j; or None for no record.

    Returns:
        The mean flux, m2 per year, and the record.
    """
    state = equation.layout.state
    first = lax.optimization_barrier(equation.flux(state(start)))
    weight = first_stage_weight(stages)
    after_first = Flux(weight * first.x, weight * first.y)

    def stage(j: Array, last: Flux, before: Flux, record: Array | None) -> tuple[Flux, Array | None]:
        h = _stage_thickness(equation, start, rate, step, stage_fraction(j - 1, stages), last)
        if record is not None:
            record = lax.dynamic_update_slice(record, h[None], (j, 0))
        current = equation.flux(state(h))
        return lax.optimization_barrier(_combine(coefficients(j, stages), last, before, current, first)), record

    def two_stages(i: Array, carry: tuple) -> tuple:
        before, last, record = carry  # two stages in an iteration: the buffers are swapped without a copy
        before, record = stage(2 * i + 2, last, before, record)
        last, record = stage(2 * i + 3, before, last, record)
        return before, last, record

    zero = jax.tree.map(jnp.zeros_like, first)
    _, flux, record = lax.fori_loop(0, (stages - 1) // 2, two_stages, (zero, after_first, record))
    return flux, record


def mean_flux(equation: ShallowIce, start: Array, rate: Array, step: Array, stages: Array) -> Flux:
    """The mean flux over a step, m2 per year; arguments as for `mean_flux_and_record`."""
    return mean_flux_and_record(equation, start, rate, step, stages, None)[0]
