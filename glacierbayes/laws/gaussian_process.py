"""A Gaussian process in a Hilbert space of sines: as many weights as the shortest length asks for."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.laws.functions import Family, checked, ends, sine

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
        waves = [self._waves(i, x) for i, x in enumerate(inputs)]
        if len(waves) == 1:
            return self.scale * (waves[0] @ weights)
        return self.scale * jnp.einsum("...i,ij,...j->...", waves[0], weights.reshape(self.terms), waves[1])

    def _waves(self, i: int, x: Float[Array, "*points"]) -> Float[Array, "*points term"]:
        """Sines times the root of the spectral density at their frequency."""
        low, high = self.ranges[i]
        box = self.widths[i] * (high - low) / 2
        at = jnp.clip(x, low, high) - (low + high) / 2
        frequency = jnp.pi * jnp.arange(1, self.terms[i] + 1) / (2 * box)
        rate = jnp.sqrt(5.0) / self.lengths[i]
        density = 16 / 3 * rate**5 / (rate**2 + frequency**2) ** 3
        return jnp.sqrt(density / box) * sine(frequency * (at[..., None] + box))
