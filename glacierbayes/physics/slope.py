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
    fields = jnp.stack([weight * slopes[0], weight * slopes[1], weight])

    def beside(h: Array, width: Any) -> Array:
        return (thicknesses * 0.5 * (h[1:] + h[:-1]) / width) ** 2

    along_y, along_x = beside(thickness, dy), beside(thickness.T, dx)

    def over_y(fields: Array) -> Array:
        return _averaged_along(fields, along_y)

    def over_x(fields: Array) -> Array:
        return _averaged_along(fields.swapaxes(1, 2), along_x).swapaxes(1, 2)

    mean = over_x(over_y(fields)) + over_y(over_x(fields))
    return (mean[0] ** 2 + mean[1] ** 2) / mean[2] ** 2


def _averaged_along(fields: Float[Array, "k n m"], beside: Float[Array, "between m"]) -> Float[Array, "k n m"]:
    """f' of f' - (L^2 f')' = f along n.

    A matrix of three diagonals that is its own transpose, so that a derivative is one more solve with it.

    Args:
        fields: f, several at once.
        beside: square of L over the distance, between neighbours.
    """
    none = jnp.zeros_like(beside[:1])
    low, high = jnp.concatenate([none, beside]), jnp.concatenate([beside, none])

    def applied(mean: Array) -> Array:
        exchange = beside * jnp.diff(mean, axis=1)
        edge = jnp.zeros_like(mean[:, :1])
        return mean + jnp.concatenate([edge, exchange], 1) - jnp.concatenate([exchange, edge], 1)

    def solved(_: Any, fields: Array) -> Array:
        # Gauss's elimination, all lines side by side; it needs no pivots. On the CPU a third of the time of
        # `lax.linalg.tridiagonal_solve`, which takes line after line.
        def down(above: tuple[Array, Array], row: tuple[Array, Array, Array]) -> Any:
            (share, mean), (low, high, field) = above, row
            per = 1 / (1 + high + low * (1 - share))
            now = high * per, (field + low * mean) * per
            return now, now

        def up(below: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
            share, mean = row
            mean = mean + share * below
            return mean, mean

        rows = low, high, fields.swapaxes(0, 1)
        nothing = jnp.zeros_like(rows[2][0])
        _, eliminated = lax.scan(down, (none[0], nothing), rows)
        return lax.scan(up, nothing, eliminated, reverse=True)[1].swapaxes(0, 1)

    return lax.custom_linear_solve(applied, fields, solved, symmetric=True)
