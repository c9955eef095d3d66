"""A Gaussian process approximated by a sum of sines, with as many weights as the shortest length requires."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.functions.base import FunctionFamily, length_bounds, sine_and_cosine, validated

# Solin and Sarkka 2020 (doi 10.1007/s11222-019-09886-w); half-width and number of terms by the rule of Riutort-Mayol
# et al. 2023 (doi 10.1007/s11222-022-10167-2) for Matern 5/2: c >= 4.1 l / S, m >= 2.65 c S / l, S half the range.
MIN_BOX_WIDTH = 1.5
WIDTH_PER_LENGTH, TERMS_PER_LENGTH = 4.1, 2.65


class GaussianProcess(FunctionFamily):
    """A Gaussian process with Matern 5/2 covariance, as a sum of sines on a box that is wider than the range.

    Attributes:
        ranges, scale, lengths: see `FunctionFamily`.
        terms: number of sines along every input.
        widths: half-width of the box over half the range, along every input.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    terms: tuple[int, ...] = eqx.field(static=True)
    widths: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, ranges: Any, scale: Any, lengths: Any, shortest: Any = None, longest: Any = None):
        """The numbers of terms and the widths follow from the shortest and the longest length.

        Raises:
            InputError: see `functions.base.length_bounds`.
        """
        self.ranges, self.lengths = validated("GaussianProcess", ranges, lengths)
        self.scale = scale
        short, long = length_bounds("GaussianProcess", ranges, lengths, shortest, longest)
        halves = [(high - low) / 2 for low, high in self.ranges]
        self.widths = tuple(
            max(MIN_BOX_WIDTH, 1 + WIDTH_PER_LENGTH * s / half / 2) for s, half in zip(long, halves, strict=True)
        )
        self.terms = tuple(
            math.ceil(TERMS_PER_LENGTH * w * half / s) for s, half, w in zip(short, halves, self.widths, strict=True)
        )

    @property
    def size(self) -> int:
        """The number of weights: the product of the terms along all inputs."""
        return math.prod(self.terms)

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The value of the sum of sines with these weights, point by point."""
        coefficients = self.scale * weights.reshape(self.terms)
        for i in range(len(inputs)):
            coefficients = jnp.moveaxis(coefficients, 0, -1) * self._deviations(i)
        waves = [self._waves(i, x) for i, x in enumerate(inputs)]
        rest = jnp.tensordot(coefficients.T, waves[0], 1)
        return rest if len(waves) == 1 else jnp.sum(rest * waves[1], 0)

    def _base_frequency(self, i: int) -> float:
        """Angular frequency of the first sine, per unit of input i."""
        low, high = self.ranges[i]
        return math.pi / (self.widths[i] * (high - low))

    def _deviations(self, i: int) -> Float[Array, " term"]:
        """Standard deviations of the coefficients: root of the spectral density over the half-width of the box."""
        rate = jnp.sqrt(5.0) / self.lengths[i]
        frequency = self._base_frequency(i) * jnp.arange(1, self.terms[i] + 1)
        return jnp.sqrt(16 / 3 * rate**5 / (rate**2 + frequency**2) ** 3 * 2 / jnp.pi * self._base_frequency(i))

    def _waves(self, i: int, x: Float[Array, "*points"]) -> Float[Array, " term *points"]:
        """Values of the sines along input i at points; all are 0 at the ends of the box."""
        low, high = self.ranges[i]
        angle = self._base_frequency(i) * (jnp.clip(x, low, high) - (low + high) / 2) + jnp.pi / 2
        return harmonics(self.terms[i], angle)[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def harmonics(
    terms: int, angle: Float[Array, "*points"]
) -> tuple[Float[Array, " term *points"], Float[Array, " term *points"]]:
    """sin(k a) and cos(k a) of an angle a, for k from 1 to the number of terms."""
    # the recurrence sin (k + 1) a = 2 cos a sin k a - sin (k - 1) a takes two operations and not twenty; the barrier
    # keeps the compiler from computing every term from the first one again
    first, other = sine_and_cosine(angle)
    sines, cosines = [jnp.zeros_like(first), first], [jnp.ones_like(other), other]
    for waves in (sines, cosines):
        while len(waves) <= terms:
            waves.append(2 * other * waves[-1] - waves[-2])
    return lax.optimization_barrier((jnp.stack(sines[1:]), jnp.stack(cosines[1:])))


@harmonics.defjvp
def _(terms: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The known derivatives. (A gradient through the recurrence itself takes 1.5 times as long.)"""
    sines, cosines = harmonics(terms, *primals)
    tangent_angles = jnp.arange(1.0, terms + 1).reshape(-1, *(1,) * primals[0].ndim) * tangents[0]
    return (sines, cosines), (tangent_angles * cosines, -tangent_angles * sines)
