"""A stabilised explicit solver for the shallow-ice equation: RKL2 on fluxes."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from glacierbayes.physics.sia import Flux
from glacierbayes.solvers import transpose
from glacierbayes.solvers.legendre import mean_flux, stable_step, stages_needed
from glacierbayes.solvers.stepping import FluxSolver, Setting, State

# Longest step, in cells that a kinematic wave crosses: with 8 the waves grow.
COURANT = 5.0


class Stabilised(FluxSolver):
    """RKL2 with as many stages as the stiffness asks for."""

    def mean_flux(self, setting: Setting, state: State, rate: Array, step: Array) -> tuple[Flux, None]:
        """By the stages; never fails."""
        stages = stages_needed(step, state.stiffness)
        of = transpose.mean_flux_of if setting.transposed else mean_flux
        return of(setting.equation, state.thickness, rate, step, stages), None

    def stable(self, stiffness: Array, courant: Array) -> Array:
        """By the most stages, and `COURANT`."""
        return jnp.minimum(stable_step(stiffness), COURANT / courant)
