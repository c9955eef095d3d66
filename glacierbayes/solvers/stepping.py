"""Time steps that conserve mass to round-off, for any solver that gives the mean flux of a step.

At the end of a step the same flux is taken from one cell and given to the next, scaled where a cell would give
more than it has: mass is conserved and H >= 0 without clipping.
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

from glacierbayes.physics.faces import MIN_DIVISOR
from glacierbayes.physics.sia import Flux, ShallowIce

# The most snow or melt in a step, as a share of the thickest ice, or in m where that is more: bare rock needs no short
# steps, but a century of snow must not fall on it in one.
MAX_BALANCE_SHARE, MIN_BALANCE_BOUND = 0.02, 2.0
# Only thicker ice counts in the length of steps, m: whether an empty cell holds 0 or 1e-17 m is round-off.
COUNTED_THICKNESS = 0.01
MAX_STEP_GROWTH, MIN_STEP_GROWTH = 2.0, 0.2  # of a step over the last one, by the last one's error
# The default of what a step may add to the rms error of the thickness, m. It matters for the shock at the start only,
# since later steps are shorter anyway; `experiments/work_precision.py` shows the error that is left after 20 years.
TOLERANCE = 0.3


class StepState(NamedTuple):
    """The state that is integrated.

    Attributes:
        thickness: m.
        supplied: ice that the balance put in since the start, net of what could not be melted, m3.
        applied: snow and melt since the start, added up without sign, m3.
        outflow: ice that left over the grid's edge since the start, m3.
        thinning: divergence of the flux at this thickness, m per year.
        stiffness: bound of the largest eigenvalue of the diffusion at this thickness, per year.
        longest_step: bound of the next step, years.
    """

    thickness: Float[Array, " cells"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]
    thinning: Float[Array, " cells"]
    stiffness: Float[Array, ""]
    longest_step: Float[Array, ""]


def _rms(field: Array, thickness: Array) -> Array:
    """The root mean square of a field over the ice."""
    ice = thickness > COUNTED_THICKNESS
    return jnp.sqrt(jnp.sum(jnp.where(ice, field**2, 0.0)) / jnp.maximum(jnp.sum(ice), 1))


def _longest_step(thickness: Array, rate: Array, stable: Array, accurate: Array) -> Array:
    """The longest step, years, that stability, the mass balance and the error of the last step allow."""
    counted = (thickness > COUNTED_THICKNESS) | (rate > 0)
    fastest = jnp.max(jnp.where(counted, jnp.abs(rate), 0.0))
    bound = jnp.maximum(MAX_BALANCE_SHARE * jnp.max(thickness), MIN_BALANCE_BOUND) / jnp.maximum(fastest, 1e-9)
    return lax.stop_gradient(jnp.minimum(stable, jnp.minimum(bound, accurate)))


def outflow_limiter(ice: Array, outflow: Array) -> Array:
    """The share of its outflow (m over the step) that every cell can give without giving more than its ice (m)."""
    short = outflow > jnp.maximum(ice, MIN_DIVISOR)
    return jnp.where(short, ice / jnp.where(short, outflow, 1.0), 1.0)


class SolveArguments(eqx.Module):
    """The arguments of a solve: `args` of diffrax.

    Attributes:
        equation: the shallow-ice equation.
        tolerance: what a step may add to the rms error of the thickness, m.
        reverse_mode: whether the solve is open to reverse mode only; loops may then have a transpose of their own,
            instead of being open to `jax.jvp`.
    """

    equation: ShallowIce
    tolerance: Float[Array, ""]
    reverse_mode: bool = eqx.field(static=True)

    def with_linearized_laws(self, thickness: Float[Array, " cells"]) -> SolveArguments:
        """The same arguments with the laws for one step, linearized at the thickness (m) at its start."""
        laws = self.equation.linearize_laws(self.equation.layout.state(thickness), self.reverse_mode)
        return SolveArguments(self.equation.with_laws(laws), self.tolerance, self.reverse_mode)


class FluxSolver(dfx.AbstractSolver):
    """A diffrax solver that takes every step with one mean flux. `args` of the solve is a `SolveArguments`."""

    term_structure: ClassVar = dfx.ODETerm
    interpolation_cls: ClassVar = partial(dfx.LocalLinearInterpolation)

    @abstractmethod
    def mean_flux(self, arguments: SolveArguments, state: StepState, rate: Array, step: Array) -> Flux:
        """The mean flux over a step, m2 per year.

        Args:
            arguments: the equation, with its laws linearized at the start of the step.
            state: at the start of the step.
            rate: mass balance, m of ice per year.
            step: length of the step, years.
        """

    @abstractmethod
    def longest_stable_step(self, stiffness: Array, courant: Array) -> Array:
        """The longest step of the method, years; both arguments as `ShallowIce.rates` gives them."""

    def order(self, terms: Any) -> int:
        """The order of the method, which is 2."""
        return 2

    def init(self, terms, t0, t1, y0, args) -> None:
        """The solver state, which diffrax asks for; there is none."""

    def func(self, terms, t0, y0, args):
        """The vector field, which diffrax asks for."""
        return terms.vf(t0, y0, args)

    def initial_state(self, arguments: SolveArguments, thickness: Float[Array, " cells"], time: Array) -> StepState:
        """The state at the start of a run. The first step changes the thickness (m) by about twice the tolerance."""
        equation = arguments.with_linearized_laws(thickness).equation
        thinning, stiffness, courant = equation.rates(equation.layout.state(thickness))
        rate = equation.balance_rate(thickness, time, time)
        accurate = 2 * arguments.tolerance / jnp.maximum(_rms(thinning, thickness), 1e-9)
        longest = _longest_step(thickness, rate, self.longest_stable_step(stiffness, courant), accurate)
        zero = jnp.zeros(())
        return StepState(thickness, zero, zero, zero, thinning, stiffness, longest)

    def step(self, terms, t0: Any, t1: Any, y0: StepState, args: SolveArguments, solver_state, made_jump):
        """One time step from t0 to t1 (years), as diffrax asks for it; it gives no error estimate to diffrax."""
        args = args.with_linearized_laws(y0.thickness)
        equation = args.equation
        step = lax.stop_gradient(t1 - t0)
        rate = equation.balance_rate(y0.thickness, t0, t1, args.reverse_mode)
        flux = self.mean_flux(args, y0, rate, step)
        # the balance is the mean of those at both ends of the step (Heun), the second at the surface after the flow
        after = y0.thickness + step * (rate - equation.divergence(flux))
        after = jnp.where(after > 0, after, 0.0) * equation.inside
        rate = 0.5 * (rate + equation.balance_rate(after, t0, t1, args.reverse_mode))
        y1 = self._apply(args, y0, rate, step, flux)
        return y1, None, dict(y0=y0, y1=y1), None, dfx.RESULTS.successful

    def _apply(self, arguments: SolveArguments, state: StepState, rate: Array, step: Array, flux: Flux) -> StepState:
        """One step with a mean flux: snow first, then flow, then melt. No cell gives more than it has.

        The error of the step is the difference of its mean flux and the one that follows from both ends and the
        middle (Sommeijer, Shampine and Verwer 1998, doi 10.1016/S0377-0427(97)00219-7, eq. 2.11).
        """
        equation, layout = arguments.equation, arguments.equation.layout
        shift, w = layout.shift, layout.width
        area = 1 / (equation.per_x * equation.per_y)
        snow = step * jnp.maximum(rate, 0.0)
        ice = state.thickness + snow
        outflow = jnp.maximum(shift(flux.x, 0), 0.0) - jnp.minimum(shift(flux.x, -1), 0.0)
        outflow = outflow * equation.per_x
        outflow += (jnp.maximum(shift(flux.y, 0), 0.0) - jnp.minimum(shift(flux.y, -w), 0.0)) * equation.per_y
        outflow = step * outflow
        limiter = layout.slopes(outflow_limiter(ice, outflow))
        here = shift(limiter, 0)
        flux = Flux(
            flux.x * jnp.where(flux.x > 0, here, shift(limiter, 1)),
            flux.y * jnp.where(flux.y > 0, here, shift(limiter, w)),
        )
        thinning_mean = equation.divergence(flux)
        ice = ice - step * thinning_mean
        edge_outflow = jnp.sum(ice * (1 - equation.inside))
        ice = jnp.where(ice > 0, ice, 0.0) * equation.inside  # below 0 only by round-off
        melt = jnp.minimum(step * jnp.maximum(-rate, 0.0), ice)
        snow, melted = jnp.sum(snow), jnp.sum(melt)
        thickness = ice - melt
        thinning, stiffness, courant = equation.rates(equation.layout.state(thickness))
        difference = 0.4 * (state.thinning + thinning) - 0.8 * lax.stop_gradient(thinning_mean)
        error = step * _rms(difference, thickness)
        growth = 0.9 * jnp.cbrt(arguments.tolerance / jnp.maximum(error, 1e-3 * arguments.tolerance))
        accurate = step * jnp.clip(growth, MIN_STEP_GROWTH, MAX_STEP_GROWTH)
        return StepState(
            thickness,
            state.supplied + area * (snow - melted),
            state.applied + area * (snow + melted),
            state.outflow + area * edge_outflow,
            thinning,
            stiffness,
            _longest_step(thickness, rate, self.longest_stable_step(stiffness, courant), accurate),
        )


class UniformSubdivision(dfx.AbstractStepSizeController):
    """Equal steps up to the next break; their number follows from the longest step that the state allows.

    A step is at most as long as the tolerance, the method and the balance allow; its error sets the bound of the next
    one. Whole numbers of steps make the schedule piecewise constant in every parameter, so that the derivative at fixed
    steps is the derivative.

    Attributes:
        breaks: dates at which a step must end, decimal years, ascending, the end of the run included. The end may be
            repeated, so that runs with different numbers of dates share one compiled program.
    """

    breaks: Float[Array, " break"]

    def wrap(self, direction: Any) -> UniformSubdivision:
        """The controller for the direction of time, which diffrax asks for; time runs forward."""
        return self

    def _step_end(self, time: Array, state: StepState) -> Array:
        end = self.breaks[jnp.searchsorted(self.breaks, time + 1e-9)]
        steps = jnp.ceil((end - time) / state.longest_step)
        return lax.stop_gradient(jnp.where(steps > 1, time + (end - time) / jnp.maximum(steps, 1.0), end))

    def init(self, terms, t0: Any, t1: Any, y0: StepState, dt0, args, func, error_order):
        """The end of the first step, decimal years, and the controller state, of which there is none."""
        return self._step_end(t0, y0), None

    def adapt_step_size(
        self, t0: Any, t1: Any, y0, y1_candidate: StepState, args, y_error, error_order, controller_state
    ):
        """The end of the next step. Every step is accepted; one whose result is not a number ends the run."""
        # what is not a number becomes 0 where thickness is kept positive; the outflow still holds it
        finite = jnp.all(jnp.isfinite(y1_candidate.thickness)) & jnp.isfinite(y1_candidate.outflow)
        diverged: Any = dfx.RESULTS.nonlinear_divergence
        result = dfx.RESULTS.where(finite, dfx.RESULTS.successful, diverged)
        return jnp.asarray(True), t1, self._step_end(t1, y1_candidate), False, None, result
