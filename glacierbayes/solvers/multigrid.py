"""A multigrid cycle for one implicit step of diffusion with advection: the preconditioner of the implicit solver.

The matrix is v + div q with q = forward * v(first cell) + backward * v(second cell) on every face. Four cells make one
of the next grid: the part of q that is even in the cells (advection) adds up, the odd one (diffusion) does so over
twice the distance; where advection outweighs diffusion it is taken upstream, so that the diagonal stays dominant.

It works in single precision, half the time: what an outer iteration asks of it is two digits.
Barriers keep XLA from fusing sweeps, of which each would be computed many times; a field is a vector, as in `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from glacierbayes.physics.layout import padded

SMALLEST = 4  # cells a side of the coarsest grid, about
RELAXATION = 0.8  # of Jacobi's method
SWEEPS, COARSEST_SWEEPS = 2, 8


class Faces(eqx.Module):
    """Derivatives of the flux through faces by their first and second cell, times step over cell width.

    The face of an element lies behind it, along x or y.
    """

    x_first: Float[Array, "y x"]
    x_second: Float[Array, "y x"]
    y_first: Float[Array, "y x"]
    y_second: Float[Array, "y x"]


class Grid(eqx.Module):
    """The matrix on one grid, row by row: what couples a cell to its neighbours, and one over its diagonal."""

    centre: Float[Array, " cells"]
    inverse: Float[Array, " cells"]
    east: Float[Array, " cells"]
    west: Float[Array, " cells"]
    south: Float[Array, " cells"]
    north: Float[Array, " cells"]
    shape: tuple[int, int] = eqx.field(static=True)

    def others(self, v: Array) -> Array:
        """The matrix without its diagonal, times v."""
        w = self.shape[1]
        beside = padded(v, w)

        def at(offset: int) -> Array:
            return beside[w + offset : w + offset + v.shape[0]]

        return self.east * at(1) + self.west * at(-1) + self.south * at(w) + self.north * at(-w)


def _grid(faces: Faces) -> Grid:
    def behind(face: Array, axis: int) -> Array:
        return jnp.roll(face, 1, axis)  # the last face of a row or column leads outside and is 0

    west, north = behind(faces.x_first, 1), behind(faces.y_first, 0)
    centre = 1 + faces.x_first - behind(faces.x_second, 1) + faces.y_first - behind(faces.y_second, 0)
    parts = (centre, 1 / centre, faces.x_second, -west, faces.y_second, -north)
    rows, columns = centre.shape
    return Grid(*lax.optimization_barrier(tuple(part.ravel() for part in parts)), shape=(rows, columns))


def _split(first: Array, second: Array) -> tuple[Array, Array]:
    """The even part, and the odd one, with diffusion enough that an upstream cell gives and the other takes."""
    even = 0.5 * (first + second)
    return even, jnp.maximum(0.5 * (first - second), jnp.abs(even))


def _coarser(faces: Faces) -> Faces:
    def both(first: Array, second: Array, take: Callable) -> tuple[Array, Array]:
        even, odd = _split(first, second)
        even, odd = 0.5 * take(even), 0.25 * take(odd)
        odd = jnp.maximum(odd, jnp.abs(even))
        return even + odd, even - odd

    def of_x(face: Array) -> Array:
        return 0.5 * (face[::2, 1::2] + face[1::2, 1::2])

    def of_y(face: Array) -> Array:
        return 0.5 * (face[1::2, ::2] + face[1::2, 1::2])

    return Faces(*both(faces.x_first, faces.x_second, of_x), *both(faces.y_first, faces.y_second, of_y))


def hierarchy(faces: Faces) -> list[Grid]:
    """The grids, finest first, filled up to an even number of cells a side on all but the coarsest."""
    rows, columns = faces.x_first.shape
    depth = int(math.log2(max(1.0, max(rows, columns) / SMALLEST)))
    block = 2**depth
    # at least one more cell a side, so that no face leads outside
    room = ((0, block - rows % block), (0, block - columns % block))
    faces = jax.tree.map(lambda face: jnp.pad(face.astype(jnp.float32), room), faces)
    grids = [_grid(faces)]
    for _ in range(depth):
        faces = lax.optimization_barrier(_coarser(faces))
        grids.append(_grid(faces))
    return grids


def transposed(grids: list[Grid]) -> list[Grid]:
    """The transpose of the matrix, on every grid."""

    def of(g: Grid) -> Grid:
        w = g.shape[1]
        west, east = jnp.roll(g.east, 1), jnp.roll(g.west, -1)
        north, south = jnp.roll(g.south, w), jnp.roll(g.north, -w)
        return Grid(g.centre, g.inverse, east, west, south, north, g.shape)

    return [of(g) for g in grids]


def _smooth(g: Grid, right: Array, v: Array, sweeps: int) -> Array:
    for _ in range(sweeps):
        v = lax.optimization_barrier(v + RELAXATION * ((right - g.others(v)) * g.inverse - v))
    return v


def _cycle(grids: list[Grid], right: Array) -> Array:
    g, *coarser = grids
    v = lax.optimization_barrier(RELAXATION * right * g.inverse)
    if not coarser:
        return _smooth(g, right, v, COARSEST_SWEEPS)
    v = _smooth(g, right, v, SWEEPS - 1)
    left = lax.optimization_barrier(right - g.centre * v - g.others(v)).reshape(g.shape)
    mean = 0.25 * (left[::2, ::2] + left[1::2, ::2] + left[::2, 1::2] + left[1::2, 1::2])
    coarse = _cycle(coarser, lax.optimization_barrier(mean.ravel())).reshape(coarser[0].shape)
    fourfold = jnp.broadcast_to(coarse[:, None, :, None], (coarse.shape[0], 2, coarse.shape[1], 2))
    v = lax.optimization_barrier(v + fourfold.ravel())
    return _smooth(g, right, v, SWEEPS)


def cycle(grids: list[Grid], right: Float[Array, "y x"]) -> Float[Array, "y x"]:
    """One V-cycle from nothing: about the solution for a right-hand side."""
    rows, columns = right.shape
    room = [(0, whole - part) for whole, part in zip(grids[0].shape, right.shape, strict=True)]
    v = _cycle(grids, lax.optimization_barrier(jnp.pad(right.astype(jnp.float32), room).ravel()))
    return v.reshape(grids[0].shape)[:rows, :columns].astype(right.dtype)
