"""A stabilised explicit solver for the shallow-ice equation: RKL2 on fluxes, limited once a step.

At the end of a step the same flux is taken from one cell and given to the next, scaled where a cell would give
more than it has: mass is kept to round-off and H >= 0 without clipping.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.physics.sia import LEAST, Flux, ShallowIce
from glacierbayes.solvers import transpose
from glacierbayes.solvers.legendre import mean_flux, stable_step, stages_needed

# Longest step, in cells that a kinematic wave crosses: with 8 the waves grow.
COURANT = 5.0
# Most snow or melt in a step, as a share of the thickest ice, or in m: bare rock is in no hurry, and a century of snow
# would fall on it.
MOST_CHANGE, LEAST_CHANGE = 0.02, 2.0
MOST_GROWTH, LEAST_GROWTH = 2.0, 0.2  # of the step, by its error
# What a step may add to the rms error of the thickness, m, where nobody asks for another. It decides over the shock of
# the start only, later waves are shorter; `experiments/work_precision.py` shows what is left after 20 years.
TOLERANCE = 0.3


class State(NamedTuple):
    """What is integrated: thickness, and the mass that came and went, m3 of ice since the start.

    With it goes what the next step and its stages follow from, at that thickness: the divergence of the flux (m per
    year), the stiffness (per year), and the longest step (years).
    """

    thickness: Float[Array, " cells"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]
    thinning: Float[Array, " cells"]
    stiffness: Float[Array, ""]
    longest: Float[Array, ""]


def begin(equation: ShallowIce, thickness: Float[Array, " cells"], now: Array, tolerance: float) -> State:
    """The state at the start of a run. The first step moves the ice by about twice the tolerance."""
    thinning, stiffness, courant = equation.rates(equation.layout.state(thickness))
    rate = equation.balance_rate(thickness, now, now)
    wanted = 2 * tolerance / jnp.maximum(_rms(thinning, thickness), 1e-9)
    longest = _longest(thickness, rate, stiffness, courant, wanted)
    zero = jnp.zeros(())
    return State(thickness, zero, zero, zero, thinning, stiffness, longest)


def _rms(field: Array, thickness: Array) -> Array:
    """Over the ice."""
    ice = thickness > 0
    return jnp.sqrt(jnp.sum(jnp.where(ice, field**2, 0.0)) / jnp.maximum(jnp.sum(ice), 1))


def _longest(thickness: Array, rate: Array, stiffness: Array, courant: Array, wanted: Array) -> Array:
    """The longest step that stability, waves, balance and the error of the last step allow, years."""
    felt = jnp.max(jnp.where((thickness > 0) | (rate > 0), jnp.abs(rate), 0.0))
    slow = jnp.maximum(MOST_CHANGE * jnp.max(thickness), LEAST_CHANGE) / jnp.maximum(felt, 1e-9)
    longest = jnp.minimum(jnp.minimum(stable_step(stiffness), COURANT / courant), jnp.minimum(slow, wanted))
    return lax.stop_gradient(longest)


def apply(equation: ShallowIce, state: State, rate: Array, step: Array, flux: Flux, tolerance: float) -> State:
    """One step by its mean flux: snow first, then flow, then melt; no cell gives more than it has.

    The error of the step is what its mean flux differs by from one that follows from both ends and the
    middle (Sommeijer, Shampine and Verwer 1998, doi 10.1016/S0377-0427(97)00219-7, eq. 2.11).
    """
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
    mean = equation.divergence(flux)
    ice = ice - step * mean
    outflow = jnp.sum(ice * (1 - equation.inside))
    ice = jnp.where(ice > 0, ice, 0.0) * equation.inside  # below 0 only by round-off
    melt = jnp.minimum(step * jnp.maximum(-rate, 0.0), ice)
    snow, melted = jnp.sum(snow), jnp.sum(melt)
    thickness = ice - melt
    thinning, stiffness, courant = equation.rates(equation.layout.state(thickness))
    error = step * _rms(0.4 * (state.thinning + thinning) - 0.8 * lax.stop_gradient(mean), thickness)
    growth = 0.9 * jnp.cbrt(tolerance / jnp.maximum(error, 1e-3 * tolerance))
    wanted = step * jnp.clip(growth, LEAST_GROWTH, MOST_GROWTH)
    return State(
        thickness,
        state.supplied + area * (snow - melted),
        state.applied + area * (snow + melted),
        state.outflow + area * outflow,
        thinning,
        stiffness,
        _longest(thickness, rate, stiffness, courant, wanted),
    )


class Stabilised(dfx.AbstractSolver):
    """RKL2 with as many stages as the stiffness asks for; `args` of the solve is the `ShallowIce`.

    Attributes:
        tolerance: what a step may add to the rms error of the thickness, m.
        transposed: the stages carry their own transpose (for reverse mode) instead of being open to `jax.jvp`.
    """

    tolerance: float = eqx.field(static=True)
    transposed: bool = eqx.field(static=True)
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
            flux = transpose.mean_flux_of(args, y0.thickness, rate, step, stages)
        else:
            flux = mean_flux(args, y0.thickness, rate, step, stages)
        # the balance at both ends of the step (Heun): it feels the surface that the flow has left
        after = y0.thickness + step * (rate - args.divergence(flux))
        after = jnp.where(after > 0, after, 0.0) * args.inside
        rate = 0.5 * (rate + args.balance_rate(after, t0, t1, self.transposed))
        y1 = apply(args, y0, rate, step, flux, self.tolerance)
        return y1, None, dict(y0=y0, y1=y1), None, dfx.RESULTS.successful


class WholeSteps(dfx.AbstractStepSizeController):
    """Equal steps to the next break, their number a whole one, from the state of now.

    A step is at most what the tolerance, the stages' stability, the balance and `COURANT` cells of a kinematic wave
    allow; every step is kept, and its error sets the next. Whole numbers make the schedule piecewise constant in
    every parameter, so that the derivative at fixed steps is the derivative.

    Attributes:
        breaks: dates that a step must end at, ascending, the end included.
    """

    breaks: Float[Array, " break"]

    def wrap(self, direction: Any) -> WholeSteps:
        """Time runs forward."""
        return self

    def _next(self, time: Array, state: State) -> Array:
        end = self.breaks[jnp.searchsorted(self.breaks, time + 1e-9)]
        steps = jnp.ceil((end - time) / state.longest)
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
