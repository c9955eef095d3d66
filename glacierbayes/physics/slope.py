"""Surface slopes: the driving slope where ice is thin, slopes at cell centres, and longitudinally averaged slopes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

FULL_SLOPE_THICKNESS = 10.0  # m; where the higher cell has less ice, the slope counts in proportion to it
MIN_AVERAGING_WEIGHT = 1e-6  # m; the weight of a slope where there is no ice to average over


def driving_slope(first: Array, second: Array, slope: Array) -> Array:
    """The slope between two cells, reduced in proportion where the higher cell has little ice; elementwise.

    Args:
        first, second: thickness of the two cells, m.
        slope: slope of the surface from the first to the second.
    """
    donor = jnp.where(slope < 0, first, second)
    return slope * jnp.where(donor < FULL_SLOPE_THICKNESS, donor * (1 / FULL_SLOPE_THICKNESS), 1.0)


def slope_at_centres(thickness: Any, surface: Any, dx: Any, dy: Any) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
    """Slopes along x and y at cell centres.

    They are the means of the driving slopes to both neighbours; at the grid's edge there is one neighbour.

    Args:
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m; dy is negative where y descends.
    """

    def along(axis: int, width: Any) -> Array:
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        slope = driving_slope(thickness[low], thickness[high], surface[high] - surface[low]) / width
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 1)
        both = jnp.pad(slope, pad, mode="edge")
        return 0.5 * (both[low] + both[high])

    return along(1, dx), along(0, dy)


def averaged_slope_squared(thickness: Any, surface: Any, dx: Any, dy: Any, thicknesses: Array) -> Float[Array, "y x"]:
    """Square of the slope averaged over a number of ice thicknesses, weighted by thickness.

    The average of a field f along a line is the bounded solution f' of f' - (L^2 f')' = f, L being the length. Where L
    is the same everywhere its weights are exp(-|x| / L), as in the linearised theory (Kamb and Echelmeyer 1986, doi
    10.3189/S0022143000015604). The average is taken along x and along y, in both orders, and the two are added.

    Args:
        thickness, surface: (y, x), m.
        dx, dy: cell widths, m.
        thicknesses: L over the thickness.
    """
    weight = thickness + MIN_AVERAGING_WEIGHT
    slopes = slope_at_centres(thickness, surface, dx, dy)
    fields = jnp.stack([weight * slopes[0], weight * slopes[1], weight])

    def exchange(h: Array, width: Any) -> Array:
        return (thicknesses * 0.5 * (h[1:] + h[:-1]) / width) ** 2

    exchange_y, exchange_x = exchange(thickness, dy), exchange(thickness.T, dx)

    def over_y(fields: Array) -> Array:
        return _average_along(fields, exchange_y)

    def over_x(fields: Array) -> Array:
        return _average_along(fields.swapaxes(1, 2), exchange_x).swapaxes(1, 2)

    mean = over_x(over_y(fields)) + over_y(over_x(fields))
    return (mean[0] ** 2 + mean[1] ** 2) / mean[2] ** 2


def _average_along(fields: Float[Array, "k n m"], exchange: Float[Array, "between m"]) -> Float[Array, "k n m"]:
    """The solution f' of f' - (L^2 f')' = f along n.

    The matrix is tridiagonal and symmetric, so that a derivative is one more solve with it.

    Args:
        fields: f, several at once.
        exchange: square of L over the distance, between neighbours.
    """
    zeros = jnp.zeros_like(exchange[:1])
    low, high = jnp.concatenate([zeros, exchange]), jnp.concatenate([exchange, zeros])

    def matrix(mean: Array) -> Array:
        flow = exchange * jnp.diff(mean, axis=1)
        edge = jnp.zeros_like(mean[:, :1])
        return mean + jnp.concatenate([edge, flow], 1) - jnp.concatenate([flow, edge], 1)

    def solve(_: Any, fields: Array) -> Array:
        # Gauss's elimination, all lines side by side; it needs no pivots. On the CPU a third of the time of
        # `lax.linalg.tridiagonal_solve`, which takes line after line.
        def eliminate(previous: tuple[Array, Array], row: tuple[Array, Array, Array]) -> Any:
            (ratio, mean), (low, high, field) = previous, row
            per = 1 / (1 + high + low * (1 - ratio))
            current = high * per, (field + low * mean) * per
            return current, current

        def substitute(following: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
            ratio, mean = row
            mean = mean + ratio * following
            return mean, mean

        rows = low, high, fields.swapaxes(0, 1)
        nothing = jnp.zeros_like(rows[2][0])
        _, eliminated = lax.scan(eliminate, (zeros[0], nothing), rows)
        return lax.scan(substitute, nothing, eliminated, reverse=True)[1].swapaxes(0, 1)

    return lax.custom_linear_solve(matrix, fields, solve, symmetric=True)
