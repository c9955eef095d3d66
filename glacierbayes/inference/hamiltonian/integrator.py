"""The integrator of Hamiltonian trajectories: a splitting of three stages."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array
from numpyro.infer.hmc_util import IntegratorState

# The three-stage splitting of Blanes, Casas and Sanz-Serna 2014 (doi 10.1137/130932740, table 2): shares of the step.
# Leapfrog makes an error of the energy of 1/32 a parameter where a step is a posterior standard deviation; here it is
# less than a thousandth at three times that, for three gradients. One step is then a whole trajectory.
KICK, DRIFT = 0.11888010966548, 0.29619504261126
STAGES = 3  # gradients of a step


def three_stages(potential: Callable) -> Callable:
    """Returns a step for `numpyro.infer.hmc_util.build_tree`, with a dense mass matrix.

    Args:
        potential: minus the log density of a vector; its gradient is evaluated three times in a step.
    """
    value_and_grad = jax.value_and_grad(potential)

    def step(size: Array, covariance: Array, state: tuple[Array, ...]) -> IntegratorState:
        z, r, value, gradient = state  # NumPyro gives a bare tuple

        def stage(i: Array, now: IntegratorState) -> IntegratorState:
            z = now.z + size * jnp.asarray((DRIFT, 1 - 2 * DRIFT, DRIFT))[i] * (covariance @ now.r)
            value, gradient = value_and_grad(z)
            r = now.r - size * jnp.asarray((0.5 - KICK, 0.5 - KICK, KICK))[i] * gradient
            return IntegratorState(z, r, value, gradient)

        # in a loop, since unrolled stages would compile the run three times
        return lax.fori_loop(0, STAGES, stage, IntegratorState(z, r - KICK * size * gradient, value, gradient))

    return step
