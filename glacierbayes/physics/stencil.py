"""Linear maps that couple a cell with the eight beside it, as nine numbers a cell.

An implicit step multiplies by the derivative of the flux's divergence some hundred times. Products by `jax.jvp` compute
the flux again each time, and were most of a run.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.physics.layout import Layout, padded


class Stencil(eqx.Module):
    """A linear map of fields on cells.

    Attributes:
        rows: what every cell takes of the one at each of `layout.around`.
        layout: where cells lie in vectors.
    """

    rows: tuple[Float[Array, " cells"], ...]
    layout: Layout

    def __call__(self, field: Float[Array, " cells"]) -> Float[Array, " cells"]:
        """The map of a field."""
        beside = padded(field, self.layout.reach)
        parts = (row * self.layout.shift(beside, at) for row, at in zip(self.rows, self.layout.around, strict=True))
        return sum(parts, jnp.zeros(()))

    def transposed(self) -> Stencil:
        """The transposed map."""
        mirrored = zip(reversed(self.rows), self.layout.around, strict=True)
        rows = (self.layout.shift(padded(row, self.layout.reach), at) for row, at in mirrored)
        return Stencil(tuple(rows), self.layout)

    def step(self, weight: Array, moving: Float[Array, " cells"]) -> Stencil:
        """The map v + weight * self(moving * v)."""
        beside = weight * padded(moving, self.layout.reach)
        pairs = zip(self.rows, self.layout.around, strict=True)
        rows = (row * self.layout.shift(beside, at) + (at == 0) for row, at in pairs)
        return Stencil(tuple(rows), self.layout)
