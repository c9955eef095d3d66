"""What a glacier says of its flow law, as a smooth function: the density of draws under a wide prior, over that prior.

The density of greatest likelihood whose logarithm is the prior's and a sum of few functions (Kooperberg and Stone 1991,
doi 10.1016/0167-9473(91)90115-I).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from glacierbayes import priors

CENTRE, WIDTH = float(np.log(priors.TYPICAL_CREEP)), priors.CREEP_DEPARTURE  # of ln A, as every family has it
SLIDING_CENTRE, SLIDING_WIDTH = float(np.log(2e-23)), 2.0  # of ln C
KNOTS = (0.01, 0.2, 0.5, 0.8, 0.99)  # quantiles of the draws
FLOOR = 7.0  # in the logarithm; what is less likely than that is left to the prior
REACH, PLACES = 7.0, 4001  # of the prior, in its widths, over which densities are integrated
REACH_OF_BOTH, PLACES_OF_BOTH = 4.5, 121


class Curves(NamedTuple):
    """Likelihoods of ln A, glacier in front: sums of splines, straight beyond the draws, all but the last floored."""

    centre: Float[Array, "glacier term"]
    width: Float[Array, "glacier term"]
    knots: Float[Array, "glacier term knot"]
    weights: Float[Array, "glacier term basis"]
    floor: Float[Array, "glacier term"]

    def log(self, log_creep: Float[Array, " glacier"]) -> Float[Array, " glacier"]:
        """Up to a constant."""
        x = (log_creep[..., None] - self.centre) / self.width
        return jnp.sum(jnp.logaddexp(jnp.sum(_splines(x, self.knots) * self.weights, -1), self.floor), -1)

    def floored(self) -> Curves:
        """One of a single term, nowhere much less than e^-FLOOR of its peak."""
        peak = jnp.max(self.log(CENTRE + WIDTH * jnp.linspace(-REACH, REACH, PLACES)))
        return self._replace(floor=(peak - FLOOR)[None])


class Surfaces(NamedTuple):
    """Likelihoods of ln A and ln C, glacier in front, in the speed that both make and the share of sliding in it.

    `depth` is the thickness at which the shares are taken, m.
    """

    depth: Float[Array, " glacier"]
    centre: Float[Array, " glacier"]
    width: Float[Array, " glacier"]
    knots: Float[Array, "glacier knot"]
    weights: Float[Array, "glacier basis"]

    def log(self, log_creep: Float[Array, " glacier"], log_sliding: Any = -jnp.inf) -> Float[Array, " glacier"]:
        """Up to a constant; by default nothing slides."""
        speed, share = _speed(log_creep, log_sliding, self.depth)
        return jnp.sum(_both((speed - self.centre) / self.width, share, self.knots) * self.weights, -1)


def curve(
    log_creep: np.ndarray, weight: np.ndarray | None = None, before: Curves | None = None, width_of_prior: float = WIDTH
) -> Curves:
    """By draws of ln A.

    Args:
        log_creep: the draws, under N(CENTRE, width_of_prior).
        weight: of each; they sum to one.
        before: a curve of the same glacier that the density of the draws was divided by: what it misses is added.
        width_of_prior: see above.
    """
    weight = _or_even(weight, log_creep)
    centre, width, knots = _summary(log_creep, weight)
    grid = CENTRE + WIDTH * jnp.linspace(-REACH, REACH, PLACES)

    def of(x: Array) -> Array:
        return _splines((x - centre) / width, knots)

    log_density = -0.5 * ((grid - CENTRE) / width_of_prior) ** 2
    weights = _fitted(of(grid), log_density, weight @ of(jnp.asarray(log_creep)))
    own = Curves(centre[None], width[None], knots[None], weights[None], jnp.array([-jnp.inf]))
    return own if before is None else jax.tree.map(lambda *parts: jnp.concatenate(parts), before, own)


def surface(log_creep: np.ndarray, log_sliding: np.ndarray, depth: float, weight: np.ndarray | None = None) -> Surfaces:
    """By draws of ln A and ln C under N(CENTRE, WIDTH) and N(SLIDING_CENTRE, SLIDING_WIDTH), weighted likewise."""
    weight = _or_even(weight, log_creep)
    speed, share = _speed(jnp.asarray(log_creep), jnp.asarray(log_sliding), jnp.asarray(depth))
    centre, width, knots = _summary(np.asarray(speed), weight)
    axis = jnp.linspace(-REACH_OF_BOTH, REACH_OF_BOTH, PLACES_OF_BOTH)
    first, second = (part.ravel() for part in jnp.meshgrid(axis, axis, indexing="ij"))
    grid = _speed(CENTRE + WIDTH * first, SLIDING_CENTRE + SLIDING_WIDTH * second, jnp.asarray(depth))

    def of(speed: Array, share: Array) -> Array:
        return _both((speed - centre) / width, share, knots)

    weights = _fitted(of(*grid), -0.5 * (first**2 + second**2), weight @ of(speed, share))
    return Surfaces(jnp.asarray(depth), centre, width, knots, weights)


def stacked(parts: list) -> NamedTuple:
    """Of all glaciers."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)


def _or_even(weight: np.ndarray | None, draws: np.ndarray) -> np.ndarray:
    return np.full(draws.size, 1 / draws.size) if weight is None else weight


def _summary(draws: np.ndarray, weight: np.ndarray) -> tuple[Array, Array, Array]:
    """Mean, standard deviation, and knots in their terms."""
    centre = weight @ draws
    width = np.sqrt(weight @ (draws - centre) ** 2)
    knots = np.quantile((draws - centre) / width, KNOTS, weights=weight, method="inverted_cdf")
    return jnp.asarray(centre), jnp.asarray(width), jnp.asarray(knots)


def _fitted(on_grid: Array, log_prior: Array, mean: Array) -> Array:
    """Weights of greatest likelihood, by what the functions are at the draws on average."""

    def misfit(weights: Array) -> Array:
        return jax.nn.logsumexp(on_grid @ weights + log_prior) - mean @ weights

    both: Callable = jax.jit(jax.value_and_grad(misfit))
    second: Callable = jax.jit(jax.hessian(misfit))
    first = np.zeros(mean.size)
    return jnp.asarray(minimize(both, first, jac=True, hess=second, method="trust-exact", options={"gtol": 1e-7}).x)


def _speed(log_creep: Array, log_sliding: Array, depth: Array) -> tuple[Array, Array]:
    """Logarithm of the surface speed over the cube of the stress, and the share of sliding in it."""
    creep = log_creep + jnp.log(depth / 2)
    speed = jnp.logaddexp(creep, log_sliding)
    return speed, jnp.exp(log_sliding - speed)


def _both(speed: Array, share: Array, knots: Array) -> Array:
    """Splines of the speed, polynomials of the share, and what ties them."""
    tied = [share, share**2, speed * share, speed * share**2]
    return jnp.concatenate([_splines(speed, knots), jnp.stack(tied, -1)], -1)


def _splines(x: Array, knots: Array) -> Array:
    """Natural cubic splines but for the constant; x (...), knots (..., knot)."""

    def cubed(k: int) -> Array:
        past = jnp.maximum(x - knots[..., k], 0.0) ** 3 - jnp.maximum(x - knots[..., -1], 0.0) ** 3
        return past / (knots[..., -1] - knots[..., k])

    bends = [cubed(k) - cubed(-2) for k in range(knots.shape[-1] - 2)]
    return jnp.stack([x, *bends], -1)
