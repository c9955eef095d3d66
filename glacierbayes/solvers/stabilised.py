"""A stabilised explicit solver for the shallow-ice equation: RKL2 on fluxes, limited once a step.

Runge-Kutta-Legendre of second order (Meyer, Balsara and Aslam 2012, doi 10.1111/j.1365-2966.2012.20744.x):
s stages are stable over (s^2 + s - 2) / 4 explicit steps. The recursion runs on the accumulated flux and not
on the thickness, so that at the end of a step the same flux is taken from one cell and given to the next,
scaled where a cell would give more than it has: mass is kept to round-off and H >= 0 without clipping.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.physics import pointwise
from glacierbayes.physics.sia import Flux, ShallowIce

MOST_STAGES = 51  # odd, as RKL2 likes it
LEAST = 1e-30  # m; the square of less than this, in a derivative, would be 0
SAFETY = 1.2  # on the stiffness: it may grow within a step
# Longest step, in cells that a kinematic wave crosses. Aletsch, 2.4e-24 Pa-3 s-1, 20 years, rms thickness error:
# 0.02 m at 400 m and 0.01 m at 200 m; with 6 0.04 and 0.03 m; with 8 the waves grow and it is 0.4 and 0.3 m.
COURANT = 4.0
# Most snow or melt in a step, as a share of the thickest ice, or in m: bare rock is in no hurry, and a century of snow
# would fall on it.
MOST_CHANGE, LEAST_CHANGE = 0.02, 2.0


class State(NamedTuple):
    """What is integrated: thickness, and the mass that came and went, m3 of ice since the start.

    With it go the rates, per year, from which step and stages follow: the two of `ShallowIce.rates` at that thickness,
    and that of the balance, whose inverse is the longest step that it allows.
    """

    thickness: Float[Array, " cells"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]
    stiffness: Float[Array, ""]
    courant: Float[Array, ""]
    balance: Float[Array, ""]

    @staticmethod
    def at(equation: ShallowIce, thickness: Array, rate: Array, supplied: Any, applied: Any, outflow: Any) -> State:
        """A state with its rates; `rate` is the balance of now."""
        rates = equation.rates(equation.layout.state(thickness))
        felt = jnp.max(jnp.where((thickness > 0) | (rate > 0), jnp.abs(rate), 0.0))
        change = felt / jnp.maximum(MOST_CHANGE * jnp.max(thickness), LEAST_CHANGE)
        return State(thickness, supplied, applied, outflow, *rates, lax.stop_gradient(change))


class Coefficients(NamedTuple):
    """Of one stage of RKL2."""

    last: Array
    before: Array
    rate: Array
    first_rate: Array


def _b(j: Array) -> Array:
    safe = jnp.maximum(j, 2.0)
    return jnp.where(j < 2, 1 / 3, (safe**2 + safe - 2) / (2 * safe * (safe + 1)))


def _coefficients(j: Array, stages: Array) -> Coefficients:
    j = j.astype(float)
    last = (2 * j - 1) / j * _b(j) / _b(j - 1)
    rate = last * 4 / (stages**2 + stages - 2)
    return Coefficients(last, -(j - 1) / j * _b(j) / _b(j - 2), rate, -(1 - _b(j - 1)) * rate)


def _first(stages: Array) -> Array:
    return 4 / (3 * (stages**2 + stages - 2.0))


def _reached(j: Array, stages: Array) -> Array:
    """Share of the step that stage j has reached."""
    return jnp.where(j < 2, _first(stages), (j**2 + j - 2) / (stages**2 + stages - 2.0))


def stages_needed(step: Array, stiffness: Array) -> Array:
    """The smallest odd number of stages that is stable, at most `MOST_STAGES`."""
    ratio = jnp.minimum(SAFETY * step * stiffness / 2, 1e6)
    needed = jnp.ceil(0.5 * (jnp.sqrt(9 + 16 * ratio) - 1))
    odd = 2 * jnp.floor(needed / 2) + 1
    return jnp.clip(jnp.where(jnp.isfinite(odd), odd, 3), 3, MOST_STAGES).astype(int)


def longest_step(stiffness: Array) -> Array:
    """The longest step that `MOST_STAGES` stages are stable over, years."""
    return (MOST_STAGES**2 + MOST_STAGES - 2) / 4 * 2 / (SAFETY * stiffness)


def _thickness(equation: ShallowIce, start: Array, rate: Array, step: Array, share: Array, flux: Flux) -> Array:
    """Thickness after a share of the step; what is below 0 there is put right at the end of the step."""
    h = start + step * (share * rate - equation.divergence(flux))
    # a barrier before what pads it: fused, the padding would keep the loop from being vectorised
    return lax.optimization_barrier(jnp.where(h > 0, h, 0.0) * equation.inside)


def _combine(c: Coefficients, last: Flux, before: Flux, now: Flux, first: Flux) -> Flux:
    def one(a: Array, b: Array, f: Array, f0: Array) -> Array:
        return c.last * a + c.before * b + c.rate * f + c.first_rate * f0

    return Flux(one(last.x, before.x, now.x, first.x), one(last.y, before.y, now.y, first.y))


def _mean_flux(equation: ShallowIce, start: Array, rate: Array, step: Array, stages: Array) -> Flux:
    """Mean flux over a step, by all stages."""
    state = equation.layout.state
    first = lax.optimization_barrier(equation.flux(state(start)))
    one = Flux(_first(stages) * first.x, _first(stages) * first.y)

    def stage(j: Array, last: Flux, before: Flux) -> Flux:
        h = _thickness(equation, start, rate, step, _reached(j - 1, stages), last)
        now = equation.flux(state(h))
        return lax.optimization_barrier(_combine(_coefficients(j, stages), last, before, now, first))

    def pair(i: Array, carry: tuple[Flux, Flux]) -> tuple[Flux, Flux]:
        before, last = carry  # two stages an iteration: the buffers swap without a copy
        before = stage(2 * i + 2, last, before)
        return before, stage(2 * i + 3, before, last)

    zero = jax.tree.map(jnp.zeros_like, first)
    return lax.fori_loop(0, (stages - 1) // 2, pair, (zero, one))[1]


@jax.custom_vjp
def _mean_flux_reverse(law, bed, start, rate, rest, step, stages):
    """`_mean_flux` with its transpose written out; `rest` is the equation without what is differentiated."""
    return _mean_flux(_with(rest, law, bed), start, rate, step, stages)


def _with(rest: ShallowIce, law: Any, bed: Any) -> ShallowIce:
    return eqx.tree_at(lambda e: (e.law, e.bed), rest, (law, bed), is_leaf=lambda x: x is None)


def _mean_flux_forward(law, bed, start, rate, rest, step, stages):
    """The same, keeping the thickness that the flux of every stage was taken at."""
    equation = _with(rest, law, bed)
    state = equation.layout.state
    first = lax.optimization_barrier(equation.flux(state(start)))
    one = Flux(_first(stages) * first.x, _first(stages) * first.y)

    def stage(j, last: Flux, before: Flux, kept: Array) -> tuple[Flux, Array]:
        h = _thickness(equation, start, rate, step, _reached(j - 1, stages), last)
        kept = lax.dynamic_update_slice(kept, h[None], (j, 0))
        now = equation.flux(state(h))
        return lax.optimization_barrier(_combine(_coefficients(j, stages), last, before, now, first)), kept

    def pair(i, carry):
        before, last, kept = carry
        before, kept = stage(2 * i + 2, last, before, kept)
        last, kept = stage(2 * i + 3, before, last, kept)
        return before, last, kept

    zero = jax.tree.map(jnp.zeros_like, first)
    kept = lax.empty((MOST_STAGES + 1, start.shape[0]), start.dtype)
    _, flux, kept = lax.fori_loop(0, (stages - 1) // 2, pair, (zero, one, kept))
    return flux, (law, bed, start, rest, step, stages, kept)


def _mean_flux_backward(residuals, cotangent: Flux):
    law, bed, start, rest, step, stages, kept = residuals
    equation = _with(rest, law, bed)
    state, cells = equation.layout.state, start.shape[0]
    zero = jax.tree.map(jnp.zeros_like, cotangent)

    class Sums(NamedTuple):
        law: Any
        first: Flux
        start: Array
        surface: Array
        rate: Array

    def back(j, now: Flux, above: Flux, sums: Sums) -> tuple[Flux, Flux, Sums]:
        """From the cotangents of the fluxes of stages j and j + 1 to that of stage j - 1."""
        c = _coefficients(j, stages)
        h = lax.dynamic_slice(kept, (j, 0), (1, cells))[0]
        weighted = Flux(c.rate * now.x, c.rate * now.y)
        of_law, of_thickness, of_surface = equation.flux_transpose(state(h), weighted)
        of_h, of_surface = lax.optimization_barrier((jnp.where(h > 0, of_thickness + of_surface, 0.0), of_surface))
        back_flux = equation.divergence_transpose(equation.layout.slopes(of_h))
        sums = Sums(
            jax.tree.map(jnp.add, sums.law, of_law),
            jax.tree.map(lambda a, b: a + c.first_rate * b, sums.first, now),
            sums.start + of_h,
            sums.surface + of_surface,
            sums.rate + (step * _reached(j - 1, stages)) * of_h,
        )
        twice = _coefficients(j + 1, stages).before
        below = jax.tree.map(lambda a, b, d: c.last * a + twice * b - step * d, now, above, back_flux)
        return lax.optimization_barrier((now, below, sums))

    def back_pair(i, carry):
        j = stages - 2 * i
        above, now, sums = carry
        now, below, sums = back(j, now, above, sums)
        return back(j - 1, below, now, sums)

    nothing = jnp.zeros_like(start)
    sums = Sums(pointwise.spread(law, zero.x), zero, nothing, nothing, nothing)
    _, now, sums = lax.fori_loop(0, (stages - 1) // 2, back_pair, (zero, cotangent, sums))
    of_first = jax.tree.map(lambda a, b: a + _first(stages) * b, sums.first, now)
    of_law, of_thickness, of_surface = equation.flux_transpose(state(start), of_first)
    none = jax.tree.map(_zero_cotangent, (rest, step, stages))
    return (
        pointwise.summed(law, lax.optimization_barrier(jax.tree.map(jnp.add, sums.law, of_law))),
        state(sums.surface + of_surface),
        sums.start + of_thickness + of_surface,
        sums.rate,
        *none,
    )


def _zero_cotangent(leaf: Any) -> Any:
    if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return jnp.zeros_like(leaf)
    return np.zeros(jnp.shape(leaf), jax.dtypes.float0)


_mean_flux_reverse.defvjp(_mean_flux_forward, _mean_flux_backward)


def apply(equation: ShallowIce, state: State, rate: Array, step: Array, flux: Flux) -> State:
    """One step by its mean flux: snow first, then flow, then melt; no cell gives more than it has."""
    layout = equation.layout
    shift, w = layout.shift, layout.width
    area = 1 / (equation.per_x * equation.per_y)
    snow = step * jnp.maximum(rate, 0.0)
    ice = state.thickness + snow
    gone = jnp.maximum(shift(flux.x, 0), 0.0) - jnp.minimum(shift(flux.x, -1), 0.0)
    gone = gone * equation.per_x
    gone += (jnp.maximum(shift(flux.y, 0), 0.0) - jnp.minimum(shift(flux.y, -w), 0.0)) * equation.per_y
    gone = step * gone
    short = gone > jnp.maximum(ice, LEAST)
    share = jnp.where(short, ice / jnp.where(short, gone, 1.0), 1.0)
    share = layout.slopes(share)
    here = shift(share, 0)
    flux = Flux(
        flux.x * jnp.where(flux.x > 0, here, shift(share, 1)),
        flux.y * jnp.where(flux.y > 0, here, shift(share, w)),
    )
    ice = ice - step * equation.divergence(flux)
    outflow = jnp.sum(ice * (1 - equation.inside))
    ice = jnp.where(ice > 0, ice, 0.0) * equation.inside  # below 0 only by round-off
    melt = jnp.minimum(step * jnp.maximum(-rate, 0.0), ice)
    snow, melted = jnp.sum(snow), jnp.sum(melt)
    return State.at(
        equation,
        ice - melt,
        rate,
        state.supplied + area * (snow - melted),
        state.applied + area * (snow + melted),
        state.outflow + area * outflow,
    )


class Stabilised(dfx.AbstractSolver):
    """RKL2 with as many stages as the stiffness asks for; `args` of the solve is the `ShallowIce`.

    Attributes:
        transposed: the stages carry their own transpose (for reverse mode) instead of being open to `jax.jvp`.
    """

    transposed: bool = eqx.field(static=True, default=False)
    term_structure: ClassVar = dfx.ODETerm
    interpolation_cls: ClassVar = partial(dfx.LocalLinearInterpolation)

    def order(self, terms: Any) -> int:
        """Two."""
        return 2

    def init(self, terms, t0, t1, y0, args) -> None:
        """Nothing is carried from step to step."""

    def func(self, terms, t0, y0, args):
        """The vector field, as diffrax asks for it."""
        return terms.vf(t0, y0, args)

    def step(self, terms, t0: Any, t1: Any, y0: State, args: ShallowIce, solver_state, made_jump):
        """One step."""
        step = lax.stop_gradient(t1 - t0)
        rate = args.balance_rate(y0.thickness, t0, t1, self.transposed)
        stages = stages_needed(step, y0.stiffness)
        if self.transposed:
            rest = eqx.tree_at(
                lambda e: (e.law, e.bed, e.balance), args, (None, None, None), is_leaf=lambda x: x is None
            )
            flux = _mean_flux_reverse(args.law, args.bed, y0.thickness, rate, rest, step, stages)
        else:
            flux = _mean_flux(args, y0.thickness, rate, step, stages)
        # the balance at both ends of the step (Heun): it feels the surface that the flow has left
        after = y0.thickness + step * (rate - args.divergence(flux))
        after = jnp.where(after > 0, after, 0.0) * args.inside
        rate = 0.5 * (rate + args.balance_rate(after, t0, t1, self.transposed))
        y1 = apply(args, y0, rate, step, flux)
        return y1, None, dict(y0=y0, y1=y1), None, dfx.RESULTS.successful


class WholeSteps(dfx.AbstractStepSizeController):
    """Equal steps to the next break, their number a whole one, from the state of now.

    A step is at most `COURANT` cells of a kinematic wave, what the balance allows, and what the stages are
    stable over. Whole numbers make the schedule piecewise constant in every parameter, so that the derivative at fixed
    steps is the derivative.

    Attributes:
        breaks: dates that a step must end at, ascending, the end included.
    """

    breaks: Float[Array, " break"]

    def wrap(self, direction: Any) -> WholeSteps:
        """Time runs forward."""
        return self

    def _next(self, time: Array, state: State) -> Array:
        longest = jnp.minimum(longest_step(state.stiffness), COURANT / state.courant)
        longest = jnp.minimum(longest, 1 / state.balance)
        end = self.breaks[jnp.searchsorted(self.breaks, time + 1e-9)]
        steps = jnp.ceil((end - time) / longest)
        return lax.stop_gradient(jnp.where(steps > 1, time + (end - time) / jnp.maximum(steps, 1.0), end))

    def init(self, terms, t0: Any, t1: Any, y0: State, dt0, args, func, error_order):
        """The first step."""
        return self._next(t0, y0), None

    def adapt_step_size(self, t0: Any, t1: Any, y0, y1_candidate: State, args, y_error, error_order, controller_state):
        """Every step is kept."""
        # what is not a number becomes 0 where thickness is kept positive; the outflow still holds it
        good = jnp.all(jnp.isfinite(y1_candidate.thickness)) & jnp.isfinite(y1_candidate.outflow)
        diverged: Any = dfx.RESULTS.nonlinear_divergence
        result = dfx.RESULTS.where(good, dfx.RESULTS.successful, diverged)
        return True, t1, self._next(t1, y1_candidate), False, None, result
