"""A Gaussian process in a Hilbert space of sines: as many weights as the shortest length asks for."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.functions.base import Family, checked, ends, sine_and_cosine

# Solin and Sarkka 2020 (doi 10.1007/s11222-019-09886-w); half-width and number of terms by the rule of Riutort-Mayol
# et al. 2023 (doi 10.1007/s11222-022-10167-2) for Matern 5/2: c >= 4.1 l / S, m >= 2.65 c S / l, S half the range.
LEAST_WIDTH = 1.5
WIDTH_A_LENGTH, TERMS_A_LENGTH = 4.1, 2.65


class GaussianProcess(Family):
    """Matern 5/2 by its spectral density on sines of a box wider than the range.

    Attributes:
        ranges, scale, lengths: see `Family`.
        terms: sines along every input.
        widths: half-width of the box over half the range, along every input.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    terms: tuple[int, ...] = eqx.field(static=True)
    widths: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, ranges: Any, scale: Any, lengths: Any, shortest: Any = None, longest: Any = None):
        """Terms and width follow from the shortest and the longest length.

        Raises:
            InputError: see `functions.ends`.
        """
        self.ranges, self.lengths = checked("GaussianProcess", ranges, lengths)
        self.scale = scale
        short, long = ends("GaussianProcess", ranges, lengths, shortest, longest)
        halves = [(high - low) / 2 for low, high in self.ranges]
        self.widths = tuple(
            max(LEAST_WIDTH, 1 + WIDTH_A_LENGTH * s / half / 2) for s, half in zip(long, halves, strict=True)
        )
        self.terms = tuple(
            math.ceil(TERMS_A_LENGTH * w * half / s) for s, half, w in zip(short, halves, self.widths, strict=True)
        )

    @property
    def size(self) -> int:
        """The product of the terms."""
        return math.prod(self.terms)

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The sum of sines."""
        coefficients = self.scale * weights.reshape(self.terms)
        for i in range(len(inputs)):
            coefficients = jnp.moveaxis(coefficients, 0, -1) * self._deviations(i)
        waves = [self._waves(i, x) for i, x in enumerate(inputs)]
        rest = jnp.tensordot(coefficients.T, waves[0], 1)
        return rest if len(waves) == 1 else jnp.sum(rest * waves[1], 0)

    def _turn(self, i: int) -> float:
        """Of the first sine, over a unit of the input."""
        low, high = self.ranges[i]
        return math.pi / (self.widths[i] * (high - low))

    def _deviations(self, i: int) -> Float[Array, " term"]:
        """Of the coefficients: the root of the spectral density at every frequency, over the half-width of the box."""
        rate = jnp.sqrt(5.0) / self.lengths[i]
        frequency = self._turn(i) * jnp.arange(1, self.terms[i] + 1)
        return jnp.sqrt(16 / 3 * rate**5 / (rate**2 + frequency**2) ** 3 * 2 / jnp.pi * self._turn(i))

    def _waves(self, i: int, x: Float[Array, "*points"]) -> Float[Array, " term *points"]:
        """Sines over the box, all of them 0 at its ends."""
        low, high = self.ranges[i]
        angle = self._turn(i) * (jnp.clip(x, low, high) - (low + high) / 2) + jnp.pi / 2
        return harmonics(self.terms[i], angle)[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def harmonics(
    terms: int, angle: Float[Array, "*points"]
) -> tuple[Float[Array, " term *points"], Float[Array, " term *points"]]:
    """sin k a and cos k a, k from 1 on."""
    # one from the two before, sin (k + 1) a = 2 cos a sin k a - sin (k - 1) a, is two operations, not twenty; the
    # barrier keeps the compiler from making every one from the first again
    first, other = sine_and_cosine(angle)
    sines, cosines = [jnp.zeros_like(first), first], [jnp.ones_like(other), other]
    for waves in (sines, cosines):
        while len(waves) <= terms:
            waves.append(2 * other * waves[-1] - waves[-2])
    return lax.optimization_barrier((jnp.stack(sines[1:]), jnp.stack(cosines[1:])))


@harmonics.defjvp
def _(terms: int, at: tuple[Array], along: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Each is the other's derivative. (Through the recurrence itself a gradient takes 1.5 times as long.)"""
    sines, cosines = harmonics(terms, *at)
    turned = jnp.arange(1.0, terms + 1).reshape(-1, *(1,) * at[0].ndim) * along[0]
    return (sines, cosines), (turned * cosines, -turned * sines)
