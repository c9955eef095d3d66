"""An implicit solver for the shallow-ice equation: SDIRK2 on fluxes, for fine grids and long spans.

Two stages, L-stable (Alexander 1977, doi 10.1137/0714068). Each is found by Newton's method: GCR on the exact
derivative of the flux, preconditioned by a multigrid cycle. The derivative of a stage is one more linear
solve (the implicit function theorem), so that reverse mode does not go through the iterations.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from glacierbayes.physics.sia import LEAST, Flux, ShallowIce
from glacierbayes.physics.stencil import Stencil
from glacierbayes.solvers import multigrid
from glacierbayes.solvers.gcr import TINY, gcr
from glacierbayes.solvers.multigrid import Grid
from glacierbayes.solvers.stepping import FluxSolver, Setting, State, limited

GAMMA = 1 - 0.5**0.5
# Per stage: the share of the step that it reaches, and the weights of the flux of the stage before and in the mean.
TABLEAU = ((GAMMA, 0.0, 1 - GAMMA), (1.0, 1 - GAMMA, GAMMA))
NEWTON_STEPS = 10
NEWTON_TOLERANCE = 1e-8  # m
ROUND_OFF = 1e-7  # m
FORCING = 1e-2  # share of the residual that a linear solve may leave
# Of the linear solve for derivatives, and of a second one for what the first has left: the residual that GCR carries
# along is off by round-off, and forward and reverse mode would differ by 4e-10 on Aletsch.
LINEAR_TOLERANCE, REFINEMENT = 1e-10, 1e-5


class Implicit(FluxSolver):
    """SDIRK2; a step that Newton's method does not solve is made again in smaller ones."""

    def mean_flux(self, setting: Setting, state: State, rate: Array, step: Array) -> tuple[Flux, Array]:
        """By two implicit stages."""
        equation, start = setting.equation, state.thickness
        grids = _grids(*lax.stop_gradient((equation, start)), GAMMA * step)

        def stage(carry, row: Array):
            guess, flux, mean = carry
            reached, before, share = row
            base = start + step * (reached * rate - before * equation.divergence(flux))
            h, left = _stage(equation, base, GAMMA * step, guess, grids)
            flux = _flux(equation, h)
            return (h, flux, jax.tree.map(lambda m, f: m + share * f, mean, flux)), left

        zero = jax.tree.map(jnp.zeros_like, jax.eval_shape(_flux, equation, start))
        (_, _, mean), left = lax.scan(stage, (start, zero, zero), jnp.asarray(TABLEAU))
        return mean, ~(jnp.max(left) < NEWTON_TOLERANCE)

    def stable(self, stiffness: Array, courant: Array) -> Array:
        """Any."""
        return jnp.asarray(jnp.inf)

    def share(self, ice: Array, gone: Array, left: Array) -> Array:
        """In a long step more ice passes through a cell than it holds: it gives what leaves it something.

        Where a cell would be left with less than nothing, more than what Newton's method leaves undone, all give no
        more than they have, and the error of that calls for a shorter step.
        """
        short = (left < 0) & (gone > LEAST)
        passing = jnp.where(short, jnp.maximum(1 + left / jnp.where(short, gone, 1.0), 0.0), 1.0)
        return jnp.where(jnp.min(left) > -ROUND_OFF, passing, limited(ice, gone))


def _positive(equation: ShallowIce, thickness: Array) -> Array:
    """Where a stage lies below 0, nothing flows."""
    # a barrier before what pads it: fused, the padding would keep the loop from being vectorised
    return equation.layout.state(lax.optimization_barrier(jnp.where(thickness > 0, thickness, 0.0) * equation.inside))


def _flux(equation: ShallowIce, thickness: Array) -> Flux:
    return equation.flux(_positive(equation, thickness))


def _grids(equation: ShallowIce, thickness: Array, weight: Array) -> list[Grid]:
    """For the preconditioner; those of the start of a step serve all of its solves."""
    layout = equation.layout
    per = (equation.per_x, equation.per_x, equation.per_y, equation.per_y)
    coupling = equation.coupling(_positive(equation, thickness))
    of_cells = (weight * p * layout.shift(face, 0) for p, face in zip(per, coupling, strict=True))
    return multigrid.hierarchy(multigrid.Faces(*(face.reshape(layout.shape) for face in of_cells)))


class _Newton(NamedTuple):
    thickness: Array
    residual: Array
    steps: Array


def _stage(equation: ShallowIce, base: Array, weight: Array, guess: Array, grids: list[Grid]) -> tuple[Array, Array]:
    """Thickness h with h + weight div flux(h) = base, and the largest residual that was left, m."""
    fixed, goal, guess = lax.stop_gradient((equation, base, guess))

    def residual(h: Array) -> Array:
        return h + weight * fixed.divergence(_flux(fixed, h)) - goal

    def derivative(h: Array) -> Stencil:
        return fixed.derivative(_positive(fixed, h)).step(weight, (h > 0) * fixed.inside)

    def solve(matrix: Stencil, right: Array, tolerance: float, grids: list[Grid]) -> Array:
        def precondition(right: Array) -> Array:
            scale = jnp.maximum(_largest(right), TINY)
            return scale * multigrid.cycle(grids, (right / scale).reshape(equation.layout.shape)).ravel()

        return gcr(matrix, precondition, right, tolerance)

    def refined(matrix: Stencil, right: Array, grids: list[Grid]) -> Array:
        first = solve(matrix, right, LINEAR_TOLERANCE, grids)
        return first + solve(matrix, right - matrix(first), REFINEMENT, grids)

    def correct(newton: _Newton) -> _Newton:
        h, r, steps = newton
        h = h - solve(derivative(h), r, FORCING, grids)
        return _Newton(h, residual(h), steps + 1)

    def going_on(newton: _Newton) -> Array:
        return (_largest(newton.residual) > NEWTON_TOLERANCE) & (newton.steps < NEWTON_STEPS)

    h, r, _ = lax.while_loop(going_on, correct, _Newton(guess, residual(guess), jnp.asarray(0)))
    h = lax.stop_gradient(h)
    # 0 but for its derivative, so that its solution takes no iteration
    moved = h + weight * equation.divergence(_flux(equation, h)) - base
    moved = moved - lax.stop_gradient(moved)
    matrix = derivative(h)
    inverted = lax.custom_linear_solve(
        matrix,
        moved,
        lambda _, right: refined(matrix, right, grids),
        lambda _, right: refined(matrix.transposed(), right, multigrid.transposed(grids)),
    )
    return h - inverted, _largest(r)


def _largest(field: Array) -> Array:
    return jnp.max(jnp.abs(field))
