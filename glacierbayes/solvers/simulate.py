"""`simulate`: integrates the equation for a glacier, a flow law and a mass balance. It is a pure function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

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
from glacierbayes.laws.longitudinal_average import split_average
from glacierbayes.physics.layout import Layout
from glacierbayes.physics.mass_balance import MassBalance
from glacierbayes.physics.sia import FaceLaws, ShallowIce
from glacierbayes.solvers import diffrax_adapter
from glacierbayes.solvers.dual_mode import dual_mode
from glacierbayes.solvers.history import History
from glacierbayes.solvers.results import Result, code_from_diffrax
from glacierbayes.solvers.stabilised import Stabilised
from glacierbayes.solvers.stepping import TOLERANCE, FluxSolver, SolveArguments, StepState, UniformSubdivision

# A run that needs more steps has failed: Aletsch at 100 m and 20 times the creep takes 6400; an ice sheet some a year.
# The limit is compiled in. The part for the length of the run is rounded up, so that most runs share one limit.
MIN_STEP_LIMIT, STEP_LIMIT_PER_YEAR = 8192, 2
DEFAULT_SOLVER = Stabilised()
CHECKPOINTS = 128  # states that reverse mode keeps at once


def simulate(
    glacier: Glacier,
    law: FlowLaw,
    balance: MassBalance | None = None,
    years: tuple[float, float] = (2000.0, 2020.0),
    save_at: Sequence[float] = (),
    *,
    solver: dfx.AbstractSolver = DEFAULT_SOLVER,
    tolerance: Any = TOLERANCE,
    leave_window: bool = True,
) -> History:
    """Integrates the shallow-ice equation, dH/dt = div(D grad S) + b.

    `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap` go through it, over the parameters of law and balance and
    the glacier's fields; not over coordinates and dates. The members of a batch run one after the other: on a CPU
    nothing is gained by steps that suit the slowest member.

    Args:
        glacier: grid, bed and thickness at the start.
        law: the flow law, SI.
        balance: climatic mass balance; None for none at all.
        years: start and end, decimal years.
        save_at: dates to keep besides both ends.
        solver: `gb.solvers.Stabilised()`, or any solver of diffrax that estimates its error (`diffrax.Bosh3()`). Only
            the first conserves mass to round-off and keeps the thickness from falling below 0.
        tolerance: what a step may add to the rms error of the thickness over the ice, m; may be traced by JAX.
        leave_window: whether ice may leave `glacier.window`, 2 km round the outline. If it does, the run is repeated
            on the whole grid, for which JAX compiles everything twice. With False such a run has failed.

    Returns:
        The history. Where the solve failed `ok` is false, the thickness is NaN, and `result` says why.

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
    jumps = () if balance is None else balance.breaks(start, end)
    breaks = np.asarray(sorted({*jumps, *times[1:]}))
    if isinstance(solver, FluxSolver):
        breaks = _padded_breaks(breaks)
    dates = breaks, np.asarray(times)
    arrays, rest = eqx.partition((glacier, law, balance, tolerance), eqx.is_array_like)
    leaves, tree = jax.tree.flatten(arrays)
    rest_leaves, rest_tree = jax.tree.flatten(rest)
    static = _Static(tree, tuple(rest_leaves), rest_tree, solver, step_limit(end - start), leave_window)
    shapes = [(len(times), *glacier.bed.shape), (), (), (), ()]
    forward, reverse = (partial(_compiled_run, static._replace(reverse_mode=mode), dates) for mode in (False, True))
    try:
        result = dual_mode(forward, reverse, shapes)(*map(jnp.asarray, leaves))
    except jax.errors.UnexpectedTracerError as error:
        raise InputError(
            "simulate: a function in the law holds a value that JAX traces, such as a sampled parameter in a lambda. "
            "Make it an attribute: a class of gb.laws.Multiplier, or jax.tree_util.Partial(function, value)"
        ) from error
    thickness, supplied, applied, outflow, code = result
    code = jnp.round(code).astype(int)
    thickness = jnp.where(code == Result.OK, thickness, jnp.nan)
    return History(tuple(times), thickness, supplied, applied, outflow, code, glacier, law)


class _Static(NamedTuple):
    """What a run is compiled for. Dates are not in it, so that runs of different lengths share a program."""

    tree: Any
    rest_leaves: tuple
    rest_tree: Any
    solver: dfx.AbstractSolver
    step_limit: int
    leave_window: bool
    reverse_mode: bool = False


@partial(jax.jit, static_argnums=0)
def _compiled_run(static: _Static, dates: tuple[Any, Any], *leaves: Any) -> list[Any]:
    """A run in the window of its glacier, and on the whole grid where ice leaves the window; the result of `_run`."""
    rest = jax.tree.unflatten(static.rest_tree, static.rest_leaves)
    glacier, law, balance, tolerance = eqx.combine(jax.tree.unflatten(static.tree, leaves), rest)
    rows, columns = glacier.bed.shape
    whole = (0, rows, 0, columns)
    run = partial(_run, glacier, law, balance, tolerance, dates, static)
    result = run(glacier.window)
    if glacier.window == whole:
        return result
    # ice that reached the window's edge left it: only then, above round-off, does the window change anything
    *_, outflow, code = result
    left = (code == Result.OK) & (outflow > 1e-15 * jnp.sum(glacier.thickness) * glacier.cell_area)
    if static.leave_window:
        return lax.cond(left, lambda: run(whole), lambda: result)
    return [*result[:-1], jnp.where(left, float(Result.LEFT_WINDOW), code)]


def _run(glacier, law, balance, tolerance, dates, static: _Static, window) -> list[Any]:
    """A run in a window of the grid.

    Returns:
        Thickness on the whole grid, (time, y, x), m; the sums supplied, applied and outflow, m3; the outcome.
    """
    y0, y1, x0, x1 = window
    layout = Layout(y1 - y0, x1 - x0)

    def cells(field: Any, mode: str = "constant") -> Any:
        return layout.cells(field[y0:y1, x0:x1], mode)

    at_faces = {name: layout.at_faces(cells(field, "edge")) for name, field in glacier.fields.items()}
    at_x, at_y = ({name: both[side] for name, both in at_faces.items()} for side in (0, 1))
    law, thicknesses = split_average(law)
    equation = ShallowIce(
        laws=FaceLaws(law.bind_fields(at_x), law.bind_fields(at_y)),
        balance=None if balance is None else balance.laid_out(cells),
        bed=layout.state(cells(glacier.bed, "edge")),
        inside=cells(jnp.ones(glacier.bed.shape)),
        mask=cells(glacier.mask),
        per_x=lax.stop_gradient(1 / jnp.abs(glacier.dx)),
        per_y=lax.stop_gradient(1 / jnp.abs(glacier.dy)),
        layout=layout,
        thicknesses=thicknesses,
    )
    thickness = cells(glacier.thickness)
    breaks, times = dates
    if isinstance(static.solver, FluxSolver):
        arguments = SolveArguments(equation, tolerance, static.reverse_mode)
        result = _solve(arguments, static.solver, thickness, breaks, times, static.step_limit)
    else:
        result = diffrax_adapter.solve(
            equation, thickness, breaks, times, static.solver, tolerance, static.reverse_mode
        )
    field = jnp.zeros((times.size, *glacier.bed.shape))
    return [field.at[:, y0:y1, x0:x1].set(jax.vmap(layout.grid)(result[0])), *result[1:]]


def _solve(
    arguments: SolveArguments, solver: FluxSolver, thickness: Any, breaks: Any, times: Any, max_steps: int
) -> list[Any]:
    adjoint = dfx.RecursiveCheckpointAdjoint(checkpoints=CHECKPOINTS) if arguments.reverse_mode else dfx.ForwardMode()
    solution = dfx.diffeqsolve(
        dfx.ODETerm(_no_field),
        solver,
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=solver.initial_state(arguments, thickness, times[0]),
        args=arguments,
        saveat=dfx.SaveAt(subs=[dfx.SubSaveAt(ts=times, fn=_thickness), dfx.SubSaveAt(t1=True, fn=_totals)]),
        stepsize_controller=UniformSubdivision(breaks),
        adjoint=adjoint,
        max_steps=max_steps,
        throw=False,
    )
    ys: Any = solution.ys
    saved, totals = ys
    code = code_from_diffrax(solution.result, saved)
    saved = jnp.where(code == Result.OK, saved, 0.0)
    return [saved, *(total[-1] for total in totals), code]


def step_limit(years: float | int) -> int:
    """The number of steps that a run of so many years may take."""
    return MIN_STEP_LIMIT + max(1024, _power_of_two(STEP_LIMIT_PER_YEAR * years))


def _padded_breaks(breaks: np.ndarray) -> np.ndarray:
    """Dates with the last one repeated to a number that is a power of two, so that runs share compiled programs."""
    return np.pad(breaks, (0, _power_of_two(breaks.size) - breaks.size), mode="edge")


def _power_of_two(number: float | int) -> int:
    """The smallest power of two that is not smaller than a number of at least 1."""
    return 1 << max(0, math.ceil(number) - 1).bit_length()


def _thickness(t: Any, y: StepState, args: Any) -> Any:
    return y.thickness


def _totals(t: Any, y: StepState, args: Any) -> Any:
    return y.supplied, y.applied, y.outflow


def _no_field(t: Any, y: StepState, args: Any) -> StepState:
    """A vector field for diffrax, which asks for one; the solver uses the equation itself."""
    return jax.tree.map(jnp.zeros_like, y)
