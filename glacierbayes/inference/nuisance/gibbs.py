"""Metropolis-within-Gibbs update of the nuisance parameters, given the run: steps of all sizes, without a gradient.

Where the scale of the model discrepancy is small, the posterior is narrow in the other parameters, and the correlation
length is not identified. Trajectories, whose steps are adapted to the bulk of the posterior, move between small and
large scales slowly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.inference.nuisance.split import Split

PROPOSALS = 30  # together a hundredth of a gradient on Aletsch at 200 m
MOVED_PARAMETERS = 4  # mean number of parameters that a proposal changes: those of one glacier
# median of the length of a proposal in standard deviations, and the standard deviation of its logarithm
TYPICAL_STEP, LOG_STEP_DEVIATION = 1.2, 1.0


def update_nuisance(
    split: Split, key: Array, z: Float[Array, " n"], covariance: Float[Array, "n n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """Returns the vector after `PROPOSALS` Metropolis steps, which leave the posterior invariant, and its potential.

    Args:
        split: the potential in two parts, with at least one nuisance parameter.
        key: random key of the proposals.
        z: unconstrained parameters at the end of the trajectory.
        covariance: approximate covariance of the posterior; the draws are exact with any positive definite matrix.
    """
    nuisance = jnp.asarray(split.nuisance)
    root = jnp.linalg.cholesky(covariance[jnp.ix_(nuisance, nuisance)])
    run_values = split.run(z)

    def attempt(i: Array, current: tuple[Array, Array]) -> tuple[Array, Array]:
        z, potential = current
        direction, size, subset, accept = jax.random.split(jax.random.fold_in(key, i), 4)
        moves = jax.random.bernoulli(subset, min(1.0, MOVED_PARAMETERS / nuisance.size), nuisance.shape)
        length = TYPICAL_STEP * jnp.exp(LOG_STEP_DEVIATION * jax.random.normal(size))
        step = length * (root @ jax.random.normal(direction, nuisance.shape))
        proposal = z.at[nuisance].add(jnp.where(moves, step, 0.0))
        value = split.potential(proposal, run_values)
        accepted = jnp.log(jax.random.uniform(accept)) < potential - value  # false where it is not finite
        return jnp.where(accepted, proposal, z), jnp.where(accepted, value, potential)

    return lax.fori_loop(0, PROPOSALS, attempt, (z, split.potential(z, run_values)))
