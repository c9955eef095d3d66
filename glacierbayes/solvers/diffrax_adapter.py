"""Any solver of diffrax on the same equation, for comparisons and for what the package's own solver cannot do.

These solvers do not treat the free boundary: thickness may fall below 0 within the error and is cut there when it is
saved, so that mass is conserved to the error only (`History.mass_error` gives it).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax as dfx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.physics.sia import ShallowIce
from glacierbayes.solvers.results import Result, code_from_diffrax

ADAPTER_MAX_STEPS = 2**18
FIRST_STEP = 1e-3  # years


class AdapterState(NamedTuple):
    """The state that is integrated.

    Attributes:
        thickness: m.
        supplied, applied, outflow: sums since the start, m3 of ice, as in `History`.
    """

    thickness: Float[Array, " cells"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]


def tendency(t: Any, y: AdapterState, equation: ShallowIce) -> AdapterState:
    """The equation as a vector field: the derivative of the state by time, per year."""
    ice = jnp.where(y.thickness > 0, y.thickness, 0.0) * equation.inside
    rate = equation.balance_rate(ice, t, t)
    rate = jnp.where(ice > 0, rate, jnp.maximum(rate, 0.0))
    state = equation.layout.state(ice)
    if equation.thicknesses is not None:
        equation = equation.with_laws(equation.linearize_laws(state, reverse_mode=False))
    flow = -equation.divergence(equation.flux(state))
    area = 1 / (equation.per_x * equation.per_y)
    return AdapterState(
        flow * equation.inside + rate,
        area * jnp.sum(rate),
        area * jnp.sum(jnp.abs(rate)),
        area * jnp.sum(flow * (1 - equation.inside)),
    )


def _rms_of_thickness(error: AdapterState) -> Array:
    """The root mean square of the thickness over the cells in which it is not 0."""
    moved = jnp.maximum(jnp.sum(error.thickness != 0), 1)
    square = jnp.sum(error.thickness**2) / moved
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def solve(
    equation: ShallowIce,
    thickness: Array,
    breaks: Array,
    times: Array,
    solver: dfx.AbstractSolver,
    tolerance: Array,
    reverse_mode: bool,
) -> list[Any]:
    """Integrates the equation with a solver of diffrax.

    Args:
        equation: the shallow-ice equation.
        thickness: at the start, on cells, m.
        breaks: dates at which a step must end, decimal years.
        times: dates to save, decimal years, with both ends of the run.
        solver: a solver that estimates its error.
        tolerance: of the rms error of the thickness in a step, m.
        reverse_mode: whether the solve is open to reverse mode; it is open to forward mode otherwise.

    Returns:
        Thickness at the times, m; the sums supplied, applied and outflow, m3; the code of the outcome as a float.
    """
    zero = jnp.zeros(())
    inner = breaks[:-1] if breaks.shape[0] > 1 else None
    controller = dfx.PIDController(rtol=0.0, atol=jax.lax.stop_gradient(tolerance), norm=_rms_of_thickness)
    solution = dfx.diffeqsolve(
        dfx.ODETerm(tendency),
        solver,
        t0=times[0],
        t1=times[-1],
        dt0=FIRST_STEP,
        y0=AdapterState(thickness, zero, zero, zero),
        args=equation,
        saveat=dfx.SaveAt(subs=[dfx.SubSaveAt(ts=times, fn=lambda t, y, a: y.thickness), dfx.SubSaveAt(t1=True)]),
        stepsize_controller=dfx.ClipStepSizeController(controller, step_ts=inner, jump_ts=inner),
        adjoint=dfx.RecursiveCheckpointAdjoint() if reverse_mode else dfx.ForwardMode(),
        max_steps=ADAPTER_MAX_STEPS,
        throw=False,
    )
    ys: Any = solution.ys
    saved, last = ys
    code = code_from_diffrax(solution.result, saved)
    saved = jnp.where(code == Result.OK, jnp.maximum(saved, 0.0), 0.0)
    return [saved, last.supplied[-1], last.applied[-1], last.outflow[-1], code]
