"""Steps that keep mass to round-off: what all of our solvers share, whatever gives them the mean flux of a step.

At the end of a step the same flux is taken from one cell and given to the next, scaled where a cell would give
more than it has: mass is kept and H >= 0 without clipping.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.physics.sia import LEAST, Flux, ShallowIce

# Most snow or melt in a step, as a share of the thickest ice, or in m: bare rock is in no hurry, and a century of snow
# would fall on it.
MOST_CHANGE, LEAST_CHANGE = 0.02, 2.0
# Ice thicker than this counts in the length of steps, m: whether an empty cell holds 0 or 1e-17 is round-off.
COUNTS = 0.01
MOST_GROWTH, LEAST_GROWTH = 2.0, 0.2  # of the step, by its error
# What a step may add to the rms error of the thickness, m, where nobody asks for another. It decides over the shock of
# the start only, later waves are shorter; `experiments/work_precision.py` shows what is left after 20 years.
TOLERANCE = 0.3
# A step of a method that can fail is tried again, shorter by this factor, down to this many years; and so is one whose
# error is this many times what was asked for.
SHORTER, SHORTEST, MOST_ERROR = 0.25, 1e-6, 4.0


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


def _rms(field: Array, thickness: Array) -> Array:
    """Over the ice."""
    ice = thickness > COUNTS
    return jnp.sqrt(jnp.sum(jnp.where(ice, field**2, 0.0)) / jnp.maximum(jnp.sum(ice), 1))


def _longest(thickness: Array, rate: Array, stable: Array, wanted: Array) -> Array:
    """The longest step that the method, the balance and the error of the last step allow, years."""
    felt = jnp.max(jnp.where((thickness > COUNTS) | (rate > 0), jnp.abs(rate), 0.0))
    slow = jnp.maximum(MOST_CHANGE * jnp.max(thickness), LEAST_CHANGE) / jnp.maximum(felt, 1e-9)
    return lax.stop_gradient(jnp.minimum(stable, jnp.minimum(slow, wanted)))


def limited(ice: Array, gone: Array) -> Array:
    """The share of the outflow that does not exceed the ice."""
    short = gone > jnp.maximum(ice, LEAST)
    return jnp.where(short, ice / jnp.where(short, gone, 1.0), 1.0)


class Setting(eqx.Module):
    """What a solve is about: `args` of diffrax.

    Attributes:
        equation: the equation.
        tolerance: what a step may add to the rms error of the thickness, m.
        transposed: for reverse mode; loops may carry their own transpose instead of being open to `jax.jvp`.
    """

    equation: ShallowIce
    tolerance: Float[Array, ""]
    transposed: bool = eqx.field(static=True)

    def near(self, thickness: Float[Array, " cells"]) -> Setting:
        """With the laws for a step from a thickness."""
        laws = self.equation.near(self.equation.layout.state(thickness), self.transposed)
        return Setting(self.equation.under(laws), self.tolerance, self.transposed)


class FluxSolver(dfx.AbstractSolver):
    """A solver of diffrax that steps by a mean flux; `args` of the solve is a `Setting`."""

    term_structure: ClassVar = dfx.ODETerm
    interpolation_cls: ClassVar = partial(dfx.LocalLinearInterpolation)

    @abstractmethod
    def mean_flux(self, setting: Setting, state: State, rate: Array, step: Array) -> tuple[Flux, Array | None]:
        """The mean flux over a step with the balance `rate` (m per year), and whether it was not found.

        None stands for a method that always finds it.
        """

    @abstractmethod
    def stable(self, stiffness: Array, courant: Array) -> Array:
        """The longest step of the method, years; both arguments as `ShallowIce.rates` gives them."""

    def share(self, ice: Array, gone: Array, left: Array) -> Array:
        """The share of its outflow that every cell can give: whatever flows in, it gives no more than it has.

        Args:
            ice: at the start and by snow, m.
            gone: outflow over the step, m.
            left: what in- and outflow leave, m.
        """
        return limited(ice, gone)

    def order(self, terms: Any) -> int:
        """Two."""
        return 2

    def init(self, terms, t0, t1, y0, args) -> None:
        """Nothing is carried from step to step."""

    def func(self, terms, t0, y0, args):
        """The vector field, as diffrax asks for it."""
        return terms.vf(t0, y0, args)

    def begin(self, setting: Setting, thickness: Float[Array, " cells"], now: Array) -> State:
        """The state at the start of a run. The first step moves the ice by about twice the tolerance."""
        equation = setting.near(thickness).equation
        thinning, stiffness, courant = equation.rates(equation.layout.state(thickness))
        rate = equation.balance_rate(thickness, now, now)
        wanted = 2 * setting.tolerance / jnp.maximum(_rms(thinning, thickness), 1e-9)
        longest = _longest(thickness, rate, self.stable(stiffness, courant), wanted)
        zero = jnp.zeros(())
        return State(thickness, zero, zero, zero, thinning, stiffness, longest)

    def step(self, terms, t0: Any, t1: Any, y0: State, args: Setting, solver_state, made_jump):
        """One step; its "error" is whether it has to be made again."""
        args = args.near(y0.thickness)
        equation = args.equation
        step = lax.stop_gradient(t1 - t0)
        rate = equation.balance_rate(y0.thickness, t0, t1, args.transposed)
        flux, failed = self.mean_flux(args, y0, rate, step)
        # the balance at both ends of the step (Heun): it feels the surface that the flow has left
        after = y0.thickness + step * (rate - equation.divergence(flux))
        after = jnp.where(after > 0, after, 0.0) * equation.inside
        rate = 0.5 * (rate + equation.balance_rate(after, t0, t1, args.transposed))
        y1, error = self._apply(args, y0, rate, step, flux)
        if failed is not None:
            failed |= error > MOST_ERROR * args.tolerance
        return y1, failed, dict(y0=y0, y1=y1), None, dfx.RESULTS.successful

    def _apply(self, setting: Setting, state: State, rate: Array, step: Array, flux: Flux) -> tuple[State, Array]:
        """One step by its mean flux: snow first, then flow, then melt; no cell gives more than it has.

        The error of the step is what its mean flux differs by from one that follows from both ends and the
        middle (Sommeijer, Shampine and Verwer 1998, doi 10.1016/S0377-0427(97)00219-7, eq. 2.11).
        """
        equation, layout = setting.equation, setting.equation.layout
        shift, w = layout.shift, layout.width
        area = 1 / (equation.per_x * equation.per_y)
        snow = step * jnp.maximum(rate, 0.0)
        ice = state.thickness + snow
        gone = jnp.maximum(shift(flux.x, 0), 0.0) - jnp.minimum(shift(flux.x, -1), 0.0)
        gone = gone * equation.per_x
        gone += (jnp.maximum(shift(flux.y, 0), 0.0) - jnp.minimum(shift(flux.y, -w), 0.0)) * equation.per_y
        gone = step * gone
        share = layout.slopes(self.share(ice, gone, ice - step * equation.divergence(flux)))
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
        growth = 0.9 * jnp.cbrt(setting.tolerance / jnp.maximum(error, 1e-3 * setting.tolerance))
        wanted = step * jnp.clip(growth, LEAST_GROWTH, MOST_GROWTH)
        y1 = State(
            thickness,
            state.supplied + area * (snow - melted),
            state.applied + area * (snow + melted),
            state.outflow + area * outflow,
            thinning,
            stiffness,
            _longest(thickness, rate, self.stable(stiffness, courant), wanted),
        )
        return y1, error


class WholeSteps(dfx.AbstractStepSizeController):
    """Equal steps to the next break, their number a whole one, from the state of now.

    A step is at most what the tolerance, the method and the balance allow; its error sets the next. Whole numbers make
    the schedule piecewise constant in every parameter, so that the derivative at fixed steps is the derivative.

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
        """Every step is kept that found its flux; one that did not is tried again, shorter."""
        # what is not a number becomes 0 where thickness is kept positive; the outflow still holds it
        good = jnp.all(jnp.isfinite(y1_candidate.thickness)) & jnp.isfinite(y1_candidate.outflow)
        keep, following = jnp.asarray(True), self._next(t1, y1_candidate)
        if y_error is not None:
            keep = ~(y_error > 0)
            good = jnp.where(keep, good, t1 - t0 > SHORTEST)
            following = jnp.where(keep, following, t0 + SHORTER * (t1 - t0))
        diverged: Any = dfx.RESULTS.nonlinear_divergence
        result = dfx.RESULTS.where(good, dfx.RESULTS.successful, diverged)
        return keep, jnp.where(keep, t1, t0), following, False, None, result
