"""The slope of the surface as ice feels it: where it is thin, at cell centres, and averaged along a glacier."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

THIN = 10.0  # m; ice thinner than this in the higher cell makes its slope count in proportion
LEAST_WEIGHT = 1e-6  # m; of the slope where there is no ice to average over


def driving_slope(first: Array, second: Array, drop: Array) -> Array:
    """The slope between two cells as far as there is ice in the higher one, elementwise.

    Args:
        first, second: thickness of the two cells, m.
        drop: slope of the surface from the first to the second.
    """
    donor = jnp.where(drop < 0, first, second)
    return drop * jnp.where(donor < THIN, donor * (1 / THIN), 1.0)


def at_centres(thickness: Any, surface: Any, dx: Any, dy: Any) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
    """Slopes along x and y at cell centres.

    The mean of the differences to both neighbours, each counted as in the flux; at the grid's edge there is one.

    Args:
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m; dy is negative where y descends.
    """

    def slope(axis: int, width: Any) -> Array:
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        drop = driving_slope(thickness[low], thickness[high], surface[high] - surface[low]) / width
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 1)
        both = jnp.pad(drop, pad, mode="edge")
        return 0.5 * (both[low] + both[high])

    return slope(1, dx), slope(0, dy)


def averaged(thickness: Any, surface: Any, dx: Any, dy: Any, thicknesses: Array) -> Float[Array, "y x"]:
    """Square of the slope averaged over a number of ice thicknesses, the thicker ice counting more.

    The average of a field f along a line is the bounded solution of f' - (L^2 f')' = f, L the length: weights
    exp(-|x| / L), as the linearised theory has them (Kamb and Echelmeyer 1986, doi 10.3189/S0022143000015604), where L
    is the same everywhere. It is taken along x and along y, in both orders.

    Args:
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m.
        thicknesses: L over the thickness.
    """
    weight = thickness + LEAST_WEIGHT
    slopes = at_centres(thickness, surface, dx, dy)
    fields = jnp.stack([weight * slopes[0], weight * slopes[1], weight], -1)

    def along(fields: Array, axis: int) -> Array:
        h = jnp.moveaxis(thickness, axis, -1)
        width = dy if axis == 0 else dx
        beside = (thicknesses * 0.5 * (h[:, 1:] + h[:, :-1]) / width) ** 2
        low, high = (jnp.pad(beside, [(0, 0), ends]) for ends in ((1, 0), (0, 1)))
        solved = lax.linalg.tridiagonal_solve(-low, 1 + low + high, -high, jnp.moveaxis(fields, axis, 1))
        return jnp.moveaxis(solved, 1, axis)

    mean = along(along(fields, 0), 1) + along(along(fields, 1), 0)
    return (mean[..., 0] ** 2 + mean[..., 1] ** 2) / mean[..., 2] ** 2
