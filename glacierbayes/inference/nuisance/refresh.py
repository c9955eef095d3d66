"""Draws of the parameters that enter no run, given the run: Metropolis steps of all sizes, which need no gradient.

The scale of what shallow ice cannot say may be small, all else narrow then, or large, and a short scale hides a length.
Trajectories, whose steps are made for the bulk, go from one to the other slowly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.inference.nuisance.split import Split

TRIES = 30  # together a hundredth of a gradient on Aletsch at 200 m
AT_ONCE = 4  # parameters that a try moves, about: those of one glacier
SIZE, SIZES = 1.2, 1.0  # of a try in standard deviations, and the spread of its logarithm


def refreshed(
    split: Split, key: Array, z: Float[Array, " n"], covariance: Float[Array, "n n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """The vector after some tries, each of which leaves the posterior as it is, and its potential.

    Args:
        split: with at least one cheap parameter.
        key: of the tries.
        z: where the trajectory ended.
        covariance: about that of the posterior; of any matrix the draws would be right.
    """
    cheap = jnp.asarray(split.cheap)
    root = jnp.linalg.cholesky(covariance[jnp.ix_(cheap, cheap)])
    known = split.run(z)

    def attempt(i: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        z, potential = now
        direction, size, some, accept = jax.random.split(jax.random.fold_in(key, i), 4)
        moves = jax.random.bernoulli(some, min(1.0, AT_ONCE / cheap.size), cheap.shape)
        step = SIZE * jnp.exp(SIZES * jax.random.normal(size)) * (root @ jax.random.normal(direction, cheap.shape))
        there = z.at[cheap].add(jnp.where(moves, step, 0.0))
        value = split.potential(there, known)
        better = jnp.log(jax.random.uniform(accept)) < potential - value  # false where it is not finite
        return jnp.where(better, there, z), jnp.where(better, value, potential)

    return lax.fori_loop(0, TRIES, attempt, (z, split.potential(z, known)))
