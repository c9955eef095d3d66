"""Metropolis-within-Gibbs update of the nuisance parameters, given the run: steps of all sizes, without a gradient.

The scale of what the model cannot explain may be small, all else narrow then, or large, and a short scale hides a
length. Trajectories, whose steps are made for the bulk, go from one to the other slowly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.inference.nuisance.split import Split

TRIES = 30  # together a hundredth of a gradient on Aletsch at 200 m
MOVED_AT_ONCE = 4  # parameters that a try moves, about: those of one glacier
# of a try in standard deviations, and the spread of the logarithm of that
STEP, STEP_SPREAD = 1.2, 1.0


def update_nuisance(
    split: Split, key: Array, z: Float[Array, " n"], covariance: Float[Array, "n n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """The vector after some tries, each of which leaves the posterior as it is, and its potential.

    Args:
        split: of the density, with at least one nuisance parameter.
        key: of the tries.
        z: where the trajectory ended.
        covariance: about that of the posterior; draws are right with any matrix.
    """
    nuisance = jnp.asarray(split.nuisance)
    root = jnp.linalg.cholesky(covariance[jnp.ix_(nuisance, nuisance)])
    known = split.run(z)

    def attempt(i: Array, current: tuple[Array, Array]) -> tuple[Array, Array]:
        z, potential = current
        direction, size, some, accept = jax.random.split(jax.random.fold_in(key, i), 4)
        moves = jax.random.bernoulli(some, min(1.0, MOVED_AT_ONCE / nuisance.size), nuisance.shape)
        length = STEP * jnp.exp(STEP_SPREAD * jax.random.normal(size))
        step = length * (root @ jax.random.normal(direction, nuisance.shape))
        proposal = z.at[nuisance].add(jnp.where(moves, step, 0.0))
        value = split.potential(proposal, known)
        accepted = jnp.log(jax.random.uniform(accept)) < potential - value  # false where it is not finite
        return jnp.where(accepted, proposal, z), jnp.where(accepted, value, potential)

    return lax.fori_loop(0, TRIES, attempt, (z, split.potential(z, known)))
