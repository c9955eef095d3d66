"""A stabilised explicit solver for the shallow-ice equation: RKL2 on fluxes."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from glacierbayes.physics.sia import Flux
from glacierbayes.solvers import rkl2, rkl2_transpose
from glacierbayes.solvers.stepping import FluxSolver, SolveArguments, StepState

MAX_COURANT = 5.0  # the longest step, in cells that a kinematic wave crosses; with 8 the waves grow


class Stabilised(FluxSolver):
    """RKL2 with as many stages as the stiffness of the equation requires."""

    def mean_flux(self, arguments: SolveArguments, state: StepState, rate: Array, step: Array) -> Flux:
        """The mean flux over a step (years) with a balance `rate` (m of ice per year), m2 per year."""
        stages = rkl2.stages_for_step(step, state.stiffness)
        mean_flux = rkl2_transpose.mean_flux if arguments.reverse_mode else rkl2.mean_flux
        return mean_flux(arguments.equation, state.thickness, rate, step, stages)

    def longest_stable_step(self, stiffness: Array, courant: Array) -> Array:
        """The longest step, years, that is stable with `rkl2.MAX_STAGES` stages and within `MAX_COURANT`."""
        return jnp.minimum(rkl2.longest_stable_step(stiffness), MAX_COURANT / courant)
