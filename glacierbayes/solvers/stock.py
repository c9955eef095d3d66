"""Any solver of diffrax on the same equation, to compare with and for what ours cannot do.

It knows nothing of a free boundary: thickness may fall below 0 within its error and is cut there when it is saved,
so that mass is kept to the error only (`History.mass_error` says by how much).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax as dfx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.physics.sia import ShallowIce

MOST_STEPS = 2**18
FIRST_STEP = 1e-3  # years


class Plain(NamedTuple):
    """What is integrated: thickness, m, and the mass that came and went since the start, m3 of ice."""

    thickness: Float[Array, " cells"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]


def tendency(t: Any, y: Plain, equation: ShallowIce) -> Plain:
    """The equation as a vector field: per year."""
    ice = jnp.where(y.thickness > 0, y.thickness, 0.0) * equation.inside
    rate = equation.balance_rate(ice, t, t)
    rate = jnp.where(ice > 0, rate, jnp.maximum(rate, 0.0))
    state = equation.layout.state(ice)
    if equation.thicknesses is not None:
        equation = equation.under(equation.near(state, transposed=False))
    flow = -equation.divergence(equation.flux(state))
    area = 1 / (equation.per_x * equation.per_y)
    return Plain(
        flow * equation.inside + rate,
        area * jnp.sum(rate),
        area * jnp.sum(jnp.abs(rate)),
        area * jnp.sum(flow * (1 - equation.inside)),
    )


def _rms_of_thickness(error: Plain) -> Array:
    """Over the cells where anything happens."""
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
    reverse: bool,
) -> list[Any]:
    """Thickness at the times, the three totals, and 1.0 or 0.0 for success."""
    zero = jnp.zeros(())
    inner = breaks[:-1] if breaks.shape[0] > 1 else None
    controller = dfx.PIDController(rtol=0.0, atol=jax.lax.stop_gradient(tolerance), norm=_rms_of_thickness)
    solution = dfx.diffeqsolve(
        dfx.ODETerm(tendency),
        solver,
        t0=times[0],
        t1=times[-1],
        dt0=FIRST_STEP,
        y0=Plain(thickness, zero, zero, zero),
        args=equation,
        saveat=dfx.SaveAt(subs=[dfx.SubSaveAt(ts=times, fn=lambda t, y, a: y.thickness), dfx.SubSaveAt(t1=True)]),
        stepsize_controller=dfx.ClipStepSizeController(controller, step_ts=inner, jump_ts=inner),
        adjoint=dfx.RecursiveCheckpointAdjoint() if reverse else dfx.ForwardMode(),
        max_steps=MOST_STEPS,
        throw=False,
    )
    ys: Any = solution.ys
    saved, last = ys
    good = jnp.asarray(solution.result == dfx.RESULTS.successful, float)
    saved = jnp.where(good > 0.5, jnp.maximum(saved, 0.0), 0.0)
    return [saved, last.supplied[-1], last.applied[-1], last.outflow[-1], jax.lax.stop_gradient(good)]
