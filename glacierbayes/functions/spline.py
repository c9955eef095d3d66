"""Cubic B-splines on even knots: free, or monotone by construction."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.errors import InputError
from glacierbayes.functions.base import Family, checked, ends

KNOTS_A_LENGTH = 2.0  # a spline of fewer cannot follow what its prior allows
RISE = 0.5  # of the logarithm of the rise of a function that must rise, standard deviation
JITTER = 1e-9  # of the covariance of the coefficients


class Spline(Family):
    """Coefficients that are a Gaussian process at the knots; beyond the range the function stays at its end.

    With `increasing` (one input) the coefficients rise: the shares of their increments are such a process on the log
    scale, the whole rise is lognormal with a median of two `scale`, and the level has the standard deviation `scale`.

    Attributes:
        ranges, scale, lengths: see `Family`.
        knots: intervals along every input.
        increasing: whether the function must rise.
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
        """Knots default to two a shortest length.

        Raises:
            InputError: see `functions.ends`; `increasing` with two inputs.
        """
        self.ranges, self.lengths = checked("Spline", ranges, lengths)
        self.scale, self.increasing = scale, increasing
        if increasing and len(self.ranges) > 1:
            raise InputError("Spline: increasing is for one input; give one range")
        if knots is None:
            widths = (high - low for low, high in self.ranges)
            short, _ = ends("Spline", ranges, lengths, shortest, longest)
            knots = tuple(math.ceil(KNOTS_A_LENGTH * w / s) for w, s in zip(widths, short, strict=True))
        self.knots = tuple(knots) if isinstance(knots, tuple | list) else (knots,)

    @property
    def size(self) -> int:
        """One a knot along every input, three more at the ends; level and rise besides where it must rise."""
        size = 1
        for knots in self.knots:
            size *= knots + 3
        return size + 2 * self.increasing

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The spline, and constant beyond its range."""
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
        return self.scale * (level + 2 * jnp.exp(RISE * rise) * shape)

    def _factor(self, i: int) -> Float[Array, "knot knot"]:
        """Cholesky factor of the coefficients' correlation (Matern 5/2)."""
        low, high = self.ranges[i]
        at = (jnp.arange(self.knots[i] + 3) - 1.0) * (high - low) / self.knots[i]
        r = jnp.sqrt(5.0) * jnp.abs(at[:, None] - at) / self.lengths[i]
        return jnp.linalg.cholesky((1 + r + r**2 / 3) * jnp.exp(-r) + JITTER * jnp.eye(at.shape[0]))

    def _basis(self, i: int, x: Float[Array, "*points"]) -> Float[Array, "*points knot"]:
        """Values of all B-splines; the sum over them is 1."""
        (low, high), knots = self.ranges[i], self.knots[i]
        at = jnp.clip((x - low) / (high - low), 0.0, 1.0) * knots
        u = jnp.abs(at[..., None] + 1.0 - jnp.arange(knots + 3.0))
        near, far = 2 / 3 - u**2 * (1 - u / 2), jnp.maximum(2 - u, 0.0) ** 3 / 6
        return jnp.where(u < 1, near, far)
