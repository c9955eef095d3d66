"""`simulate`: from a glacier, a law and a balance to a `History`. A pure function."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import diffrax as dfx
import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import lax

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.laws.base import FlowLaw
from glacierbayes.laws.coupled import uncoupled
from glacierbayes.physics.layout import Layout
from glacierbayes.physics.mass_balance import MassBalance
from glacierbayes.physics.sia import Laws, ShallowIce
from glacierbayes.solvers import stock
from glacierbayes.solvers.history import History
from glacierbayes.solvers.stabilised import Stabilised
from glacierbayes.solvers.stepping import TOLERANCE, FluxSolver, Setting, State, WholeSteps
from glacierbayes.solvers.twofold import twofold

# A run that needs more steps has failed: Aletsch at 100 m and 20 times the creep takes 6400; an ice sheet some a year.
MOST_STEPS, MOST_STEPS_A_YEAR = 8192, 2
OURS = Stabilised()
CHECKPOINTS = 128  # states that reverse mode keeps at once


def simulate(
    glacier: Glacier,
    law: FlowLaw,
    balance: MassBalance | None = None,
    years: tuple[float, float] = (2000.0, 2020.0),
    save_at: Sequence[float] = (),
    *,
    solver: dfx.AbstractSolver = OURS,
    tolerance: Any = TOLERANCE,
    leave_window: bool = True,
) -> History:
    """Integrates the shallow-ice equation, dH/dt = div(D grad S) + b.

    `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap` go through it, over the parameters of law and balance and
    the glacier's fields; not over coordinates and dates. A batch is run one by one: on a CPU nothing is gained by
    keeping in step with its slowest member.

    Args:
        glacier: grid, bed and thickness at the start.
        law: the flow law, SI.
        balance: climatic mass balance; None for none at all.
        years: start and end, decimal years.
        save_at: dates to keep besides both ends.
        solver: `gb.solvers.Stabilised()`, `gb.solvers.Implicit()` for fine grids, or any solver of diffrax that can
            judge its error (`diffrax.Bosh3()`). Ours alone keep mass to round-off and thickness from falling below 0.
        tolerance: what a step may add to the rms error of the thickness over the ice, m; may be traced by JAX.
        leave_window: whether ice may leave `glacier.window`, 2 km round the outline. If it does, the run is made again
            on the whole grid, for which JAX compiles everything twice. False: such a run has failed.

    Returns:
        The history; where the solve failed, `ok` is false and the thickness NaN.

    Raises:
        InputError: the years do not run forward, a date lies outside them, the balance does not cover them, the
            tolerance is not above 0.
        RuntimeError: JAX computes in single precision.
    """
    if not jax.config.jax_enable_x64:
        raise RuntimeError(
            "glacierbayes needs float64: import glacierbayes before jax, "
            "or call jax.config.update('jax_enable_x64', True)"
        )
    start, end = (float(t) for t in years)
    times = sorted({start, end, *(float(t) for t in np.ravel(save_at))})
    if not isinstance(law, FlowLaw):
        raise InputError(
            f"simulate: law is {law!r}, expected a law with its parameters, such as gb.laws.Glen(A=2.4e-24)"
        )
    if not isinstance(tolerance, jax.core.Tracer) and not tolerance > 0:
        raise InputError(f"simulate: tolerance is {tolerance:g} m; expected a thickness above 0, such as {TOLERANCE:g}")
    if not start < end:
        raise InputError(f"simulate: years {start:g} to {end:g}: expected the earlier first")
    outside = [time for time in times if not start <= time <= end]
    if outside:
        raise InputError(
            f"simulate: {', '.join(f'{time:g}' for time in outside)} lies outside the run of {start:g} to {end:g}; "
            "give years, or the model's options start and end, that hold every date of the observations"
        )
    turns = () if balance is None else balance.breaks(start, end)
    breaks, dates = sorted({*turns, *times[1:]}), np.asarray(times)

    arrays, rest = eqx.partition((glacier, law, balance, tolerance), eqx.is_array_like)
    leaves, tree = jax.tree.flatten(arrays)
    rows, columns = glacier.bed.shape
    whole = (0, rows, 0, columns)

    def run(reverse: bool, *leaves: Any) -> list[Any]:
        ice, flow, climate, error = eqx.combine(jax.tree.unflatten(tree, leaves), rest)
        within = partial(_run, ice, flow, climate, error, np.asarray(breaks), dates, solver, reverse)
        result = within(glacier.window)
        if glacier.window == whole:
            return result
        # ice that reached the window's edge left it: only then, above round-off, does the window change anything
        *_, outflow, good = result
        left = outflow > 1e-15 * jnp.sum(ice.thickness) * ice.cell_area
        if leave_window:
            return lax.cond((good > 0.5) & left, lambda: within(whole), lambda: result)
        return [*result[:-1], jnp.where(left, 0.0, good)]

    shapes = [(dates.size, rows, columns), (), (), (), ()]
    try:
        result = twofold(partial(run, False), partial(run, True), shapes)(*map(jnp.asarray, leaves))
    except jax.errors.UnexpectedTracerError as error:
        raise InputError(
            "simulate: a function in the law holds a value that JAX traces, such as a sampled parameter in a lambda. "
            "Make it an attribute: a class of gb.laws.Factor, or jax.tree_util.Partial(function, value)"
        ) from error
    thickness, supplied, applied, outflow, good = result
    ok = good > 0.5
    thickness = jnp.where(ok, thickness, jnp.nan)
    return History(tuple(times), thickness, supplied, applied, outflow, ok, glacier, law)


def _run(glacier, law, balance, tolerance, breaks, times, solver, reverse, window) -> list[Any]:
    """The run in a window: thickness, on the whole grid, what the balance did, what left, and 1 where all went well."""
    y0, y1, x0, x1 = window
    layout = Layout(y1 - y0, x1 - x0)

    def cells(field: Any, mode: str = "constant") -> Any:
        return layout.cells(field[y0:y1, x0:x1], mode)

    at_faces = {name: layout.at_faces(cells(field, "edge")) for name, field in glacier.fields.items()}
    at_x, at_y = ({name: both[side] for name, both in at_faces.items()} for side in (0, 1))
    law, thicknesses = uncoupled(law)
    equation = ShallowIce(
        laws=Laws(law.at(at_x), law.at(at_y)),
        balance=None if balance is None else balance.on(cells),
        bed=layout.state(cells(glacier.bed, "edge")),
        inside=cells(jnp.ones(glacier.bed.shape)),
        mask=cells(glacier.mask),
        per_x=lax.stop_gradient(1 / jnp.abs(glacier.dx)),
        per_y=lax.stop_gradient(1 / jnp.abs(glacier.dy)),
        layout=layout,
        thicknesses=thicknesses,
    )
    thickness = cells(glacier.thickness)
    if isinstance(solver, FluxSolver):
        result = _solve(Setting(equation, tolerance, reverse), solver, thickness, breaks, times)
    else:
        result = stock.solve(equation, thickness, jnp.asarray(breaks), jnp.asarray(times), solver, tolerance, reverse)
    field = jnp.zeros((times.size, *glacier.bed.shape))
    return [field.at[:, y0:y1, x0:x1].set(jax.vmap(layout.grid)(result[0])), *result[1:]]


def _solve(setting: Setting, solver: FluxSolver, thickness: Any, breaks: Any, times: Any) -> list[Any]:
    adjoint = dfx.RecursiveCheckpointAdjoint(checkpoints=CHECKPOINTS) if setting.transposed else dfx.ForwardMode()
    solution = dfx.diffeqsolve(
        dfx.ODETerm(_no_field),
        solver,
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=solver.begin(setting, thickness, jnp.asarray(times[0])),
        args=setting,
        saveat=dfx.SaveAt(
            subs=[dfx.SubSaveAt(ts=jnp.asarray(times), fn=_thickness), dfx.SubSaveAt(t1=True, fn=_totals)]
        ),
        stepsize_controller=WholeSteps(jnp.asarray(breaks)),
        adjoint=adjoint,
        max_steps=MOST_STEPS + int(MOST_STEPS_A_YEAR * (times[-1] - times[0])),
        throw=False,
    )
    ys: Any = solution.ys
    saved, totals = ys
    good = (solution.result == dfx.RESULTS.successful).astype(float)
    saved = jnp.where(good > 0.5, saved, 0.0)
    return [saved, *(total[-1] for total in totals), lax.stop_gradient(good)]


def _thickness(t: Any, y: State, args: Any) -> Any:
    return y.thickness


def _totals(t: Any, y: State, args: Any) -> Any:
    return y.supplied, y.applied, y.outflow


def _no_field(t: Any, y: State, args: Any) -> State:
    """The solver knows the equation itself."""
    return jax.tree.map(jnp.zeros_like, y)
