"""Adaptation in the warm-up: a step size with the target acceptance rate, and a mass matrix."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

INITIAL_STEP_SIZE = 1.2  # in posterior standard deviations, since the mass matrix of the start is a good guess
# In posterior standard deviations: a normal is drawn from in steps of 1.8 with a third fewer than in steps of 1.4.
# Where a scale of the errors is small the other directions are narrow, and long steps are seldom accepted there;
# updates of the nuisance parameters are. The smallest effective sample size of 2 x 700 draws of Aletsch at 400 m was
# 407 with 1.8 and 327 with 1.5.
MAX_STEP_SIZE = 1.8
TARGET_ACCEPTANCE = 0.8  # acceptance rate
# The mass matrix is renewed after FIRST_RENEWAL transitions and whenever their number has grown by RENEWAL_GROWTH. The
# last renewal leaves a share FINAL_SHARE of the warm-up, and at least MIN_FINAL transitions, to the step size.
FIRST_RENEWAL, RENEWAL_GROWTH = 15, 1.6
FINAL_SHARE, MIN_FINAL = 0.2, 20
# Number of draws per dimension at which their covariance and the first guess have equal weights; the weight of the
# guess falls with the square of the number of draws. Fewer draws than dimensions are noisier than a guess that is off
# by a factor of a few. With a guess of the weight of one draw, a hundred draws of `diffusivity_correction` (131
# dimensions) made the matrix worse: the standard deviation of the logarithms of its eigenvalues over the posterior's
# was 0.27 before and 0.40 to 0.45 after.
HALF_WEIGHT_DRAWS = 0.5


def renewal_transitions(warmup: int) -> np.ndarray:
    """Numbers of the warm-up transitions after which the mass matrix is renewed, (renewal,), ascending."""
    transitions, at = [], float(FIRST_RENEWAL)
    last = warmup - max(MIN_FINAL, int(FINAL_SHARE * warmup))
    while at <= last:
        transitions.append(int(at))
        at = max(at * RENEWAL_GROWTH, at + 10)
    return np.array([*transitions[:-1], last] if transitions else [], int)


class StepSize(NamedTuple):
    """The search for the step size with the target acceptance rate (Robbins and Monro), instead of NumPyro's.

    NumPyro's dual averaging begins at ten times the present step size, at the start and with every new mass matrix,
    and one bad transition may change it tenfold. On a Gaussian this costs a gradient; here the parameters at the end of
    a long step are extreme, and their solves took up to ten minutes. It also ended at an acceptance rate of 0.91
    instead of 0.8 (ten independent normals), which is a third more gradients.

    Attributes:
        log_step: logarithm of the step size of the next warm-up transition.
        mean: weighted mean of `log_step` over the last transitions, for use after the warm-up.
        count: number of transitions since the mass matrix was renewed.
    """

    log_step: Float[Array, ""]
    mean: Float[Array, ""]
    count: Float[Array, ""]

    @staticmethod
    def initial() -> StepSize:
        """Returns the search before the first transition."""
        return StepSize(jnp.log(INITIAL_STEP_SIZE), jnp.log(INITIAL_STEP_SIZE), jnp.zeros(()))

    def update(self, acceptance: Float[Array, ""], renewed: Bool[Array, ""]) -> StepSize:
        """Returns the search after a transition.

        Args:
            acceptance: mean acceptance probability of the trajectory.
            renewed: whether the mass matrix was renewed after the transition.
        """
        count = jnp.where(renewed, 0.0, self.count) + 1
        log_step = self.log_step + count**-0.6 * (acceptance - TARGET_ACCEPTANCE)
        log_step = jnp.minimum(log_step, jnp.log(MAX_STEP_SIZE))
        weight = count**-0.75
        return StepSize(log_step, (1 - weight) * self.mean + weight * log_step, count)


class Moments(NamedTuple):
    """Sums over draws and over the gradients of the potential at the draws.

    The coordinates are those in which the first guess of the covariance is the identity.

    Attributes:
        count: number of draws.
        draw, draws: sum of the draws, and of their outer products.
        gradient, gradients: sum of the gradients, and of their outer products.
    """

    count: Float[Array, ""]
    draw: Float[Array, " n"]
    draws: Float[Array, "n n"]
    gradient: Float[Array, " n"]
    gradients: Float[Array, "n n"]

    @staticmethod
    def zero(dimension: int) -> Moments:
        """Returns the moments of no draws.

        Args:
            dimension: number of parameters.
        """
        vector, matrix = jnp.zeros(dimension), jnp.zeros((dimension, dimension))
        return Moments(jnp.zeros(()), vector, matrix, vector, matrix)

    def add(self, other: Moments) -> Moments:
        """Returns the moments of the draws of both."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))

    def add_draw(self, draw: Float[Array, " n"], gradient: Float[Array, " n"]) -> Moments:
        """Returns the moments with one more draw and the gradient of the potential at it."""
        return self.add(Moments(jnp.ones(()), draw, jnp.outer(draw, draw), gradient, jnp.outer(gradient, gradient)))

    def covariance(self, half: float = HALF_WEIGHT_DRAWS) -> Float[Array, "n n"]:
        """Returns the covariance of the Gaussian whose gradients at the draws are closest to those of the density.

        Its inverse is the mass matrix.

        It is the geometric mean of the draws' covariance and of the inverse of the gradients' (the least Fisher
        divergence, as in nutpie). Draws of a Gaussian give it exactly as soon as there are more of them than
        dimensions, where their own covariance is still off by half at five times as many.
        Directions that no draw covers keep the first guess.

        Args:
            half: number of draws per dimension at which they have the weight of the first guess; 0 ignores the guess,
                which needs more draws than dimensions.
        """
        root, inverse = _square_roots(self._regularised_covariance(self.gradient, self.gradients, half))
        drawn = self._regularised_covariance(self.draw, self.draws, half)
        return inverse @ _square_roots(root @ drawn @ root)[0] @ inverse

    def widen(self, covariance: Float[Array, "n n"], root: Float[Array, "n n"]) -> Float[Array, "n n"]:
        """Returns a covariance in which no parameter has a smaller variance than its draws.

        In the tails of a posterior, and where it is curved, gradients underestimate its width, and trajectories would
        be too short.

        Args:
            covariance: of the parameters.
            root: matrix from the coordinates of the draws to the parameters.
        """
        drawn = jnp.sum((root @ self._regularised_covariance(self.draw, self.draws, HALF_WEIGHT_DRAWS)) * root, -1)
        wider = jnp.sqrt(jnp.maximum(drawn / jnp.diagonal(covariance), 1.0))
        return covariance * wider * wider[:, None]

    def _regularised_covariance(self, total: Array, squares: Array, half: float) -> Array:
        """The covariance about the mean, shrunk towards the first guess."""
        mean = total / self.count
        drawn = squares / self.count - jnp.outer(mean, mean)
        share = half**2 / (half**2 + (self.count / mean.size) ** 2)
        return (1 - share) * drawn + share * jnp.eye(mean.size)


def _square_roots(matrix: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """The symmetric square root of a matrix, and its inverse."""
    values, vectors = jnp.linalg.eigh(0.5 * (matrix + matrix.T))
    root = jnp.sqrt(values)
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
