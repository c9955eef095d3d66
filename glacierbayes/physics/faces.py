"""Elementwise parts of the ice flux through the faces between cells, with their transposes.

A face takes the slope across it from its two cells, and the slope along it from the four differences of the surface
adjacent to it (Mahaffy 1976, doi 10.1029/JC081i006p01059).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.physics.slope import FULL_SLOPE_THICKNESS, driving_slope

# A face takes the root mean square of the thickness between its cells (to second order in their difference): near a
# margin, where the thickness falls to nothing within a cell, the mean lets too little ice through. On domes and round
# ice sheets the error is half that of the mean (`experiments/verification.py`).
THICKNESS_VARIANCE_WEIGHT = 1 / 12
# That thickness is at most this many times the thickness of the upstream cell (the donor): no ice leaves bare rock.
# Where neighbours differ by less than a factor of 1.9 the limit has no effect.
DONOR_LIMIT = 1.5
# The square of the slope along a face is the mean square of one that varies linearly between the four differences:
# the square of their mean and this share of their variance. They are weighted by thickness: at a margin the steepest
# end in next to no ice. The weights raise the order of the mean error by 0.1, the variance keeps the dome's small.
SLOPE_VARIANCE_WEIGHT = 1 / 3
MIN_DIVISOR = 1e-30  # m; the square of a smaller thickness, which occurs in a derivative, would be 0
SLOPE_SQUARED_OFFSET = 1e-20  # added to the slope squared, for a finite derivative of the slope on level ice


class Face(NamedTuple):
    """The ice at faces.

    Attributes:
        first, second: thickness of the two cells, m.
        across: driving slope from the first cell to the second.
        per_weight: one over the sum of the weights of the adjacent slopes, per m.
        along: weighted mean of the adjacent slopes.
        along_squared: weighted mean of their squares.
    """

    first: Array
    second: Array
    across: Array
    per_weight: Array
    along: Array
    along_squared: Array

    @property
    def slope_squared(self) -> Array:
        """Square of the surface slope at the face."""
        along_squared = (1 - SLOPE_VARIANCE_WEIGHT) * self.along**2 + SLOPE_VARIANCE_WEIGHT * self.along_squared
        return self.across**2 + along_squared + SLOPE_SQUARED_OFFSET


class SurfaceDifference(NamedTuple):
    """A difference of the surface between two cells.

    Attributes:
        first, second: thickness of the two cells, m.
        slope: surface slope from the first cell to the second.
    """

    first: Array
    second: Array
    slope: Array


def mean_thickness(face: Face) -> tuple[Array, Array]:
    """The root mean square thickness between the cells of a face, m, and their difference over their sum."""
    total = face.first + face.second
    contrast = (face.first - face.second) / jnp.where(total > MIN_DIVISOR, total, 1.0)
    return total * (0.5 + THICKNESS_VARIANCE_WEIGHT * contrast**2), contrast


def limited_thickness(face: Face) -> Array:
    """The thickness at a face that its flux is computed with, m: the mean thickness, limited by the donor's."""
    donor = jnp.where(face.across < 0, face.first, face.second)
    mean, limit = mean_thickness(face)[0], DONOR_LIMIT * donor
    return jnp.where(limit < mean, limit, mean)


def local_ice(face: Face) -> LocalIce:
    """The ice at a face as a flow law takes it."""
    return LocalIce(limited_thickness(face), face.slope_squared)


def signed_diffusivity(law: FlowLaw, thickness: Array, slope_squared: Array) -> Array:
    """Minus the diffusivity of a law, m2 per year: the flux over the slope across the face."""
    return -constants.SECONDS_PER_YEAR * law.mobility(LocalIce(thickness, slope_squared))[0]


def face_flux(law: FlowLaw, face: Face) -> Array:
    """The flux through faces by a law, m2 per year, positive towards the second cell."""
    ice = local_ice(face)
    return signed_diffusivity(law, ice.thickness, ice.slope_squared) * face.across


def driving_slope_transpose(difference: SurfaceDifference, cotangent: Array) -> SurfaceDifference:
    """The transpose of the derivative of `driving_slope`."""
    downward = difference.slope < 0
    donor = jnp.where(downward, difference.first, difference.second)
    thin = donor < FULL_SLOPE_THICKNESS
    ct_donor = jnp.where(thin, cotangent * difference.slope * (1 / FULL_SLOPE_THICKNESS), 0.0)
    ct_slope = cotangent * jnp.where(thin, donor * (1 / FULL_SLOPE_THICKNESS), 1.0)
    return SurfaceDifference(jnp.where(downward, ct_donor, 0.0), jnp.where(downward, 0.0, ct_donor), ct_slope)


def limited_thickness_transpose(face: Face, cotangent: Array) -> tuple[Array, Array]:
    """The transpose of the derivative of `limited_thickness`: cotangents of the thickness of both cells."""
    first_is_donor = face.across < 0
    donor = jnp.where(first_is_donor, face.first, face.second)
    mean, contrast = mean_thickness(face)
    limited = DONOR_LIMIT * donor < mean
    even, odd = 0.5 - THICKNESS_VARIANCE_WEIGHT * contrast**2, 2 * THICKNESS_VARIANCE_WEIGHT * contrast
    by_first = jnp.where(limited, jnp.where(first_is_donor, DONOR_LIMIT, 0.0), even + odd)
    by_second = jnp.where(limited, jnp.where(first_is_donor, 0.0, DONOR_LIMIT), even - odd)
    return cotangent * by_first, cotangent * by_second


def face_flux_transpose(
    law: FlowLaw, face: Face, cotangent: Array
) -> tuple[FlowLaw, Array, Array, tuple[Array, Array, Array]]:
    """The transpose of the derivative of `face_flux`.

    Returns:
        The cotangents of the law, of the thickness at the face, and of the slope across it. The derivative by an
        adjacent slope p and its weight is a polynomial in p; the last three arrays are its coefficients, which
        `adjacent_slope_transpose` takes: of p^2, of 2 p, and of 1.
    """
    ice = local_ice(face)
    thickness, slope_squared = lax.optimization_barrier((ice.thickness, ice.slope_squared))
    ct_diffusivity = cotangent * (-constants.SECONDS_PER_YEAR * face.across)
    ct_law, ct_thickness, ct_slope_squared = law.transpose_diffusivity(
        LocalIce(thickness, slope_squared), ct_diffusivity
    )
    ct_across = cotangent * signed_diffusivity(law, thickness, slope_squared) + 2 * face.across * ct_slope_squared
    square = SLOPE_VARIANCE_WEIGHT * ct_slope_squared * face.per_weight
    twice = (1 - SLOPE_VARIANCE_WEIGHT) * ct_slope_squared * face.per_weight * face.along
    return ct_law, ct_thickness, ct_across, (square, twice, -2 * twice * face.along - square * face.along_squared)


def adjacent_slope_transpose(
    difference: SurfaceDifference, square: Array, twice: Array, one: Array
) -> tuple[Array, Array]:
    """Cotangents of a driving slope, and of the thickness of each of its cells, by the faces adjacent to it.

    Args:
        difference: the surface difference.
        square, twice, one: the coefficients that `face_flux_transpose` gives, summed over the adjacent faces.
    """
    slope, weight = driving_slope(*difference), difference.first + difference.second
    return 2 * weight * (square * slope + twice), (square * slope + 2 * twice) * slope + one
