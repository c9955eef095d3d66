"""Stages of Runge-Kutta-Legendre of second order on fluxes.

Meyer, Balsara and Aslam 2012, doi 10.1111/j.1365-2966.2012.20744.x: s stages are stable over (s^2 + s - 2) / 4 explicit
steps. The recursion runs on the accumulated flux and not on the thickness, so that what a step takes from one cell
it gives to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from glacierbayes.physics.sia import Flux, ShallowIce

MOST_STAGES = 51  # odd, as RKL2 likes it
SAFETY = 1.2  # on the stiffness: it may grow within a step


class Coefficients(NamedTuple):
    """Of one stage of RKL2."""

    last: Array
    before: Array
    rate: Array
    first_rate: Array


def _b(j: Array) -> Array:
    safe = jnp.maximum(j, 2.0)
    return jnp.where(j < 2, 1 / 3, (safe**2 + safe - 2) / (2 * safe * (safe + 1)))


def coefficients(j: Array, stages: Array) -> Coefficients:
    """Of stage j."""
    j = j.astype(float)
    last = (2 * j - 1) / j * _b(j) / _b(j - 1)
    rate = last * 4 / (stages**2 + stages - 2)
    return Coefficients(last, -(j - 1) / j * _b(j) / _b(j - 2), rate, -(1 - _b(j - 1)) * rate)


def first_share(stages: Array) -> Array:
    """Weight of the flux at the start in the first stage."""
    return 4 / (3 * (stages**2 + stages - 2.0))


def reached(j: Array, stages: Array) -> Array:
    """Share of the step that stage j has reached."""
    return jnp.where(j < 2, first_share(stages), (j**2 + j - 2) / (stages**2 + stages - 2.0))


def stable_step(stiffness: Array) -> Array:
    """The longest step that `MOST_STAGES` stages are stable over, years."""
    return (MOST_STAGES**2 + MOST_STAGES - 2) / 4 * 2 / (SAFETY * stiffness)


def stages_needed(step: Array, stiffness: Array) -> Array:
    """The smallest odd number of stages that is stable, at most `MOST_STAGES`."""
    ratio = jnp.minimum(SAFETY * step * stiffness / 2, 1e6)
    needed = jnp.ceil(0.5 * (jnp.sqrt(9 + 16 * ratio) - 1))
    odd = 2 * jnp.floor(needed / 2) + 1
    return jnp.clip(jnp.where(jnp.isfinite(odd), odd, 3), 3, MOST_STAGES).astype(int)


def stage_thickness(equation: ShallowIce, start: Array, rate: Array, step: Array, share: Array, flux: Flux) -> Array:
    """Thickness after a share of the step; what is below 0 there is put right at the end of the step."""
    h = start + step * (share * rate - equation.divergence(flux))
    # a barrier before what pads it: fused, the padding would keep the loop from being vectorised
    return lax.optimization_barrier(jnp.where(h > 0, h, 0.0) * equation.inside)


def combine(c: Coefficients, last: Flux, before: Flux, now: Flux, first: Flux) -> Flux:
    """The accumulated flux after a stage."""

    def one(a: Array, b: Array, f: Array, f0: Array) -> Array:
        return c.last * a + c.before * b + c.rate * f + c.first_rate * f0

    return Flux(one(last.x, before.x, now.x, first.x), one(last.y, before.y, now.y, first.y))


def mean_flux(equation: ShallowIce, start: Array, rate: Array, step: Array, stages: Array) -> Flux:
    """Mean flux over a step, by all stages."""
    state = equation.layout.state
    first = lax.optimization_barrier(equation.flux(state(start)))
    one = Flux(first_share(stages) * first.x, first_share(stages) * first.y)

    def stage(j: Array, last: Flux, before: Flux) -> Flux:
        h = stage_thickness(equation, start, rate, step, reached(j - 1, stages), last)
        now = equation.flux(state(h))
        return lax.optimization_barrier(combine(coefficients(j, stages), last, before, now, first))

    def pair(i: Array, carry: tuple[Flux, Flux]) -> tuple[Flux, Flux]:
        before, last = carry  # two stages an iteration: the buffers swap without a copy
        before = stage(2 * i + 2, last, before)
        return before, stage(2 * i + 3, before, last)

    zero = jax.tree.map(jnp.zeros_like, first)
    return lax.fori_loop(0, (stages - 1) // 2, pair, (zero, one))[1]
