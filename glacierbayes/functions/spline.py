"""Cubic B-splines on even knots: free, or monotone by construction."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.errors import InputError
from glacierbayes.functions.base import FunctionFamily, length_bounds, validated

KNOTS_PER_LENGTH = 2.0  # a spline with fewer cannot represent the functions of its prior
LOG_RISE_DEVIATION = 0.5  # standard deviation of the logarithm of the rise of an increasing function
JITTER = 1e-9  # added to the diagonal of the correlation of the coefficients


class Spline(FunctionFamily):
    """A cubic spline whose coefficients are a Gaussian process at the knots; beyond its range it is constant.

    With `increasing` (one input only) the coefficients increase. The logarithms of the shares of their increments are
    such a process, the whole rise is lognormal with a median of twice `scale`, and the level has the standard deviation
    `scale`.

    Attributes:
        ranges, scale, lengths: see `FunctionFamily`.
        knots: number of intervals along every input.
        increasing: whether the function increases.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    knots: tuple[int, ...] = eqx.field(static=True)
    increasing: bool = eqx.field(static=True)

    def __init__(
        self,
        ranges: Any,
        scale: Any,
        lengths: Any,
        shortest: Any = None,
        longest: Any = None,
        knots: Any = None,
        increasing: bool = False,
    ):
        """By default there are two knots in the shortest length.

        Raises:
            InputError: see `functions.base.length_bounds`; `increasing` with two inputs.
        """
        self.ranges, self.lengths = validated("Spline", ranges, lengths)
        self.scale, self.increasing = scale, increasing
        if increasing and len(self.ranges) > 1:
            raise InputError("Spline: increasing is for one input; give one range")
        if knots is None:
            widths = (high - low for low, high in self.ranges)
            short, _ = length_bounds("Spline", ranges, lengths, shortest, longest)
            knots = tuple(math.ceil(KNOTS_PER_LENGTH * w / s) for w, s in zip(widths, short, strict=True))
        self.knots = tuple(knots) if isinstance(knots, tuple | list) else (knots,)

    @property
    def size(self) -> int:
        """The number of weights: three more than the knots along every input; level and rise besides if increasing."""
        size = 1
        for knots in self.knots:
            size *= knots + 3
        return size + 2 * self.increasing

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The value of the spline with these weights, point by point; beyond its range it is constant."""
        factors = [self._factor(i) for i in range(len(self.ranges))]
        bases = [self._basis(i, x) for i, x in enumerate(inputs)]
        if len(bases) == 2:
            table = self.scale * factors[0] @ weights.reshape(self.knots[0] + 3, -1) @ factors[1].T
            return jnp.einsum("...i,ij,...j->...", bases[0], table, bases[1])
        if not self.increasing:
            return bases[0] @ (self.scale * factors[0] @ weights)
        level, rise, *_ = weights
        shares = jnp.exp(factors[0] @ weights[2:])
        rising = jnp.cumsum(shares)
        low, high = self._basis(0, jnp.asarray(self.ranges[0])) @ rising
        shape = (bases[0] @ rising - low) / (high - low) - 0.5
        return self.scale * (level + 2 * jnp.exp(LOG_RISE_DEVIATION * rise) * shape)

    def _factor(self, i: int) -> Float[Array, "knot knot"]:
        """Cholesky factor of the correlation of the coefficients along input i (Matern 5/2)."""
        low, high = self.ranges[i]
        at = (jnp.arange(self.knots[i] + 3) - 1.0) * (high - low) / self.knots[i]
        r = jnp.sqrt(5.0) * jnp.abs(at[:, None] - at) / self.lengths[i]
        return jnp.linalg.cholesky((1 + r + r**2 / 3) * jnp.exp(-r) + JITTER * jnp.eye(at.shape[0]))

    def _basis(self, i: int, x: Float[Array, "*points"]) -> Float[Array, "*points knot"]:
        """Values of all B-splines of input i at points; their sum is 1."""
        (low, high), knots = self.ranges[i], self.knots[i]
        at = jnp.clip((x - low) / (high - low), 0.0, 1.0) * knots
        u = jnp.abs(at[..., None] + 1.0 - jnp.arange(knots + 3.0))
        near, far = 2 / 3 - u**2 * (1 - u / 2), jnp.maximum(2 - u, 0.0) ** 3 / 6
        return jnp.where(u < 1, near, far)
