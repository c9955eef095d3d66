"""Fields of a grid as one long vector, in which a neighbour is a slice at a fixed offset.

The grid gets one ghost cell on every side, and the vector a margin of twice a row at both ends, so that
slices at every offset exist. One-dimensional slices of one array are what XLA turns into vector
instructions: on two-dimensional slices the flux takes 1.5 times as long, and a transpose 3 times.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped


def padded(vector: Array, width: int) -> Array:
    """The vector with `width` zeros before and after it. (`jnp.pad` takes twice as long.)"""
    zeros = jnp.zeros(width, vector.dtype)
    return jnp.concatenate([zeros, vector, zeros])


class Layout(eqx.Module):
    """The positions of the cells of a (rows, columns) grid in vectors.

    Vectors of four lengths occur: "cells" (the padded grid), "faces" (one reach more at both ends), "slopes" (two
    reaches more) and "state" (three). Face p of x lies between cells p and p + 1, face p of y between p and p + width.
    """

    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Offset of the neighbour in the next row."""
        return self.columns + 2

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the cells, with their ghosts."""
        return self.rows + 2, self.width

    @property
    def reach(self) -> int:
        """The largest offset that a slice may have."""
        return self.width + 1

    def cells(self, field: Shaped[Array, "y x"], mode: str = "constant") -> Shaped[Array, " cells"]:
        """A field of the grid as a vector of cells; ghost cells are 0, or with mode "edge" the value beside them."""
        return jnp.pad(field, 1, mode=mode).ravel()

    def state(self, cells: Float[Array, " cells"]) -> Float[Array, " state"]:
        """Cells with the margins of a state vector, which are 0."""
        return padded(cells, 3 * self.reach)

    def slopes(self, cells: Float[Array, " cells"]) -> Float[Array, " slopes"]:
        """Cells with the margins of a vector of slopes, which are 0."""
        return padded(cells, 2 * self.reach)

    def at_faces(self, cells: Float[Array, " cells"]) -> tuple[Float[Array, " faces"], Float[Array, " faces"]]:
        """The values of a field at the x-faces and at the y-faces, which are the means of the two cells."""
        slopes = self.shift(self.state(cells), 0)
        here = self.shift(slopes, 0)
        return 0.5 * (here + self.shift(slopes, 1)), 0.5 * (here + self.shift(slopes, self.width))

    def grid(self, cells: Float[Array, " cells"]) -> Float[Array, "y x"]:
        """The field on the (rows, columns) grid, without the ghost cells."""
        return cells.reshape(self.shape)[1:-1, 1:-1]

    def shift(self, longer: Array, offset: int) -> Array:
        """The values at an offset, as the next shorter vector: state to slopes, slopes to faces, faces to cells."""
        return longer[self.reach + offset : longer.shape[0] - self.reach + offset]
