"""What a chain learns while it warms up: a step size of the wanted acceptance, and a mass matrix."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

FIRST_STEP = 1.2  # the Gaussian that chains start from is a good guess
# In posterior standard deviations: a normal is drawn from in steps of 1.8 with a third fewer than in steps of 1.4.
# Where a scale of the errors is small all else is narrow, and long steps seldom get there; refreshes do. The least of
# the effective numbers of 2 x 700 draws of Aletsch at 400 m: 407 with 1.8, 327 with 1.5.
LONGEST_STEP = 1.8
TARGET = 0.8  # acceptance
# The mass matrix is renewed after the first of these transitions and whenever their number has grown by the factor;
# the last renewal is late, and leaves time for the step size: this share, and no fewer.
FIRST_RENEWAL, GROWTH = 15, 1.6
LEFT_SHARE, LEFT = 0.2, 20
# Draws a dimension at which they count as much as the first guess; the more there are, the less it counts, with the
# square. Fewer draws than dimensions are noise beside a guess that is off by a factor of some: counted as one draw, it
# was worth more than what a hundred draws of `diffusivity_correction` (131 dimensions) made of it, the standard
# deviation of the logarithms of the matrix's eigenvalues over the posterior's 0.27 before and 0.40 to 0.45 after.
HALF = 0.5


def renewals(warmup: int) -> np.ndarray:
    """After how many transitions the mass matrix is renewed."""
    found, at = [], float(FIRST_RENEWAL)
    last = warmup - max(LEFT, int(LEFT_SHARE * warmup))
    while at <= last:
        found.append(int(at))
        at = max(at * GROWTH, at + 10)
    return np.array([*found[:-1], last] if found else [], int)


class StepSize(NamedTuple):
    """The search for the step size of a wanted acceptance (Robbins and Monro), in the place of NumPyro's.

    NumPyro's dual averaging begins at ten times the step size of now, at the start and with every new mass matrix,
    and one bad transition may move it tenfold. On a Gaussian this costs a gradient; here the parameters of a long
    step are absurd, and their solves took up to ten minutes. It also ended at an acceptance of 0.91 where 0.8 was
    asked for (ten independent normals), which is a third more gradients.

    Attributes:
        log_step: of the next transition while it warms up.
        mean: of the last ones; what is kept.
        count: transitions since the mass matrix was new.
    """

    log_step: Float[Array, ""]
    mean: Float[Array, ""]
    count: Float[Array, ""]

    @staticmethod
    def first() -> StepSize:
        """Before the first transition."""
        return StepSize(jnp.log(FIRST_STEP), jnp.log(FIRST_STEP), jnp.zeros(()))

    def next(self, acceptance: Float[Array, ""], fresh: Bool[Array, ""]) -> StepSize:
        """After a transition; `fresh` says that it was the last one of its mass matrix."""
        count = jnp.where(fresh, 0.0, self.count) + 1
        log_step = self.log_step + count**-0.6 * (acceptance - TARGET)
        log_step = jnp.minimum(log_step, jnp.log(LONGEST_STEP))
        weight = count**-0.75
        return StepSize(log_step, (1 - weight) * self.mean + weight * log_step, count)


class Moments(NamedTuple):
    """Sums over draws and over the gradients of the potential there, in coordinates in which the first guess is 1."""

    count: Float[Array, ""]
    draw: Float[Array, " n"]
    draws: Float[Array, "n n"]
    gradient: Float[Array, " n"]
    gradients: Float[Array, "n n"]

    @staticmethod
    def none(dimension: int) -> Moments:
        """Of no draw."""
        vector, matrix = jnp.zeros(dimension), jnp.zeros((dimension, dimension))
        return Moments(jnp.zeros(()), vector, matrix, vector, matrix)

    def plus(self, other: Moments) -> Moments:
        """Of the draws of both."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))

    def and_draw(self, draw: Float[Array, " n"], gradient: Float[Array, " n"]) -> Moments:
        """With one more draw."""
        return self.plus(Moments(jnp.ones(()), draw, jnp.outer(draw, draw), gradient, jnp.outer(gradient, gradient)))

    def covariance(self, half: float = HALF) -> Float[Array, "n n"]:
        """That of the Gaussian whose gradients are nearest to those at these draws; its inverse is the mass matrix.

        It is the geometric mean of the draws' covariance and of the inverse of the gradients' (the least Fisher
        divergence, as in nutpie). Draws of a Gaussian give it exactly as soon as there are more of them than
        dimensions, where their own covariance is still off by half at five times as many. Directions that no draw
        has seen keep the first guess.

        Args:
            half: draws a dimension at which they count as much as the first guess; 0 for more draws than dimensions.
        """
        root, inverse = _roots(self._spread(self.gradient, self.gradients, half))
        return inverse @ _roots(root @ self._spread(self.draw, self.draws, half) @ root)[0] @ inverse

    def widened(self, covariance: Float[Array, "n n"], root: Float[Array, "n n"]) -> Float[Array, "n n"]:
        """A covariance with no parameter narrower than its draws are.

        Tails and bends of a posterior are wide where its gradients say narrow: trajectories would stop short there.

        Args:
            covariance: of the parameters.
            root: from the coordinates of the draws to the parameters.
        """
        drawn = jnp.sum((root @ self._spread(self.draw, self.draws, HALF)) * root, -1)
        wider = jnp.sqrt(jnp.maximum(drawn / jnp.diagonal(covariance), 1.0))
        return covariance * wider * wider[:, None]

    def _spread(self, total: Array, squares: Array, half: float) -> Array:
        """Covariance about the mean, with a share of the first guess."""
        mean = total / self.count
        drawn = squares / self.count - jnp.outer(mean, mean)
        share = half**2 / (half**2 + (self.count / mean.size) ** 2)
        return (1 - share) * drawn + share * jnp.eye(mean.size)


def _roots(matrix: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """The symmetric square root, and its inverse."""
    values, vectors = jnp.linalg.eigh(0.5 * (matrix + matrix.T))
    root = jnp.sqrt(values)
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
