"""Surface velocity: component means over blocks, a fitted discrepancy with a fitted range, heavy tails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int

from glacierbayes.errors import InputError
from glacierbayes.observations.correlated import CorrelatedStudentT

if TYPE_CHECKING:
    from glacierbayes.glacier import Glacier
    from glacierbayes.solvers.history import History

BLOCK_SIZE = 1000.0  # m; at least two correlation lengths of the product's error (e-fold 200 to 240 m)
LEAST_COVERAGE = 0.5  # a block counts where at least this share of its cells is ice with a velocity


class NothingCovered(InputError):
    """There is no block with a velocity."""


class Velocity(eqx.Module):
    """Mean surface velocity over square blocks of ice.

    A pixel is no datum of its own: errors are correlated over several hundred metres, and the shallow-ice
    equation says little about a single cell. Blocks are.

    Attributes:
        velocity: (block, 2) observed mean vx, vy, m per year.
        sigma: (block, 2) standard error of the product, m per year.
        block: (y, x) the block each cell counts in, -1 for none.
        x, y: (block,) centre of the cells that count, m.
        ice_thickness: (block,) mean thickness of the named product in the block, m.
        year: decimal year of the images.
    """

    velocity: Float[Array, "block 2"]
    sigma: Float[Array, "block 2"]
    block: Int[Array, "rows columns"]
    x: Float[Array, " block"]
    y: Float[Array, " block"]
    ice_thickness: Float[Array, " block"]
    year: float = eqx.field(static=True)

    @staticmethod
    def from_grid(
        vx: Any,
        vy: Any,
        glacier: Glacier,
        year: float,
        sigma: Any = 5.0,
        block_size: float = BLOCK_SIZE,
    ) -> Velocity:
        """Blocks from gridded components.

        Args:
            vx, vy: (y, x) on the glacier's grid, along its x and its y, m per year; NaN or masked is missing.
            glacier: the grid, and the ice that counts.
            year: decimal year of the images.
            sigma: standard error of a block mean, m per year (one number, or (y, x) averaged linearly:
                within a block the error is taken as fully correlated).
            block_size: side of a block, m, rounded up to whole cells.

        Raises:
            InputError: vx, vy or sigma is not on the glacier's grid, a sigma is not positive.
            NothingCovered: no block is covered by half.
        """
        vx, vy, sigma = (np.ma.filled(np.ma.asarray(part, float), np.nan) for part in (vx, vy, sigma))
        thickness = np.asarray(glacier.thickness)
        for name, field in {"vx": vx, "vy": vy}.items():
            if field.shape != thickness.shape:
                raise InputError(f"Velocity: {name} has shape {field.shape}, expected the glacier's {thickness.shape}")
        if sigma.shape not in ((), thickness.shape):
            raise InputError(
                f"Velocity: sigma has shape {sigma.shape}, expected one number or the glacier's {thickness.shape}; "
                "it holds for both components"
            )
        x, y = np.asarray(glacier.x), np.asarray(glacier.y)
        high, wide = (max(1, int(np.ceil(block_size / abs(float(d)) - 0.25))) for d in (glacier.dy, glacier.dx))
        rows, columns = np.indices(thickness.shape)
        rows, columns = rows // high, columns // wide
        label = rows * (columns.max() + 1) + columns
        counts = np.bincount(label.ravel(), minlength=label.max() + 1)
        ice = (thickness > 0) & np.isfinite(vx) & np.isfinite(vy)
        covered = np.bincount(label[ice], minlength=counts.size)
        # against a whole block: one at the edge of the grid is small, not well covered
        kept = np.flatnonzero(covered >= LEAST_COVERAGE * high * wide)
        if kept.size == 0:
            raise NothingCovered(
                f"Velocity: no block of {block_size:g} m has ice and a velocity in {100 * LEAST_COVERAGE:g} % of its "
                f"cells ({int(ice.sum())} cells of the grid have both); take a smaller block_size, or leave the "
                "velocity out"
            )
        index = np.full(counts.size, -1)
        index[kept] = np.arange(kept.size)
        block = np.where(ice, index[label], -1)

        def mean(field: np.ndarray) -> np.ndarray:
            total = np.bincount(block[block >= 0], weights=field[block >= 0], minlength=kept.size)
            return total / covered[kept]

        error = np.broadcast_to(sigma, thickness.shape)
        wrong = ~(np.isfinite(error) & (error > 0)) & (block >= 0)
        if wrong.any():
            raise InputError(
                f"Velocity: sigma is {error[wrong][0]:g} m per year or alike in {int(wrong.sum())} cells with a "
                "velocity, expected positive numbers; set vx and vy to NaN where the error is not known"
            )
        ys, xs = np.meshgrid(y, x, indexing="ij")
        return Velocity(
            velocity=jnp.asarray(np.stack([mean(vx), mean(vy)], -1)),
            sigma=jnp.asarray(np.stack([mean(error)] * 2, -1)),
            block=jnp.asarray(block),
            x=jnp.asarray(mean(xs)),
            y=jnp.asarray(mean(ys)),
            ice_thickness=jnp.asarray(mean(thickness)),
            year=float(year),
        )

    @property
    def years(self) -> tuple[float, ...]:
        """Dates at which the run must save the thickness."""
        return (self.year,)

    def block_mean(self, field: Float[Array, "rows columns"]) -> Float[Array, " block"]:
        """Mean of a field over the cells of each block."""
        ids = self.block.ravel()
        size = self.velocity.shape[0]
        # cells of no block go to one more segment, which is dropped
        total = jax.ops.segment_sum(field.ravel(), jnp.where(ids < 0, size, ids), size + 1)[:size]
        cells = jax.ops.segment_sum(jnp.ones(ids.shape), jnp.where(ids < 0, size, ids), size + 1)[:size]
        return total / cells

    def predict(self, history: History) -> Float[Array, "block 2"]:
        """Modelled component means at the date of the images, m per year."""
        vx, vy = history.surface_velocity(self.year)
        return jnp.stack([self.block_mean(vx), self.block_mean(vy)], -1)

    def sample(
        self,
        history: History,
        discrepancy: Float[Array, ""] | float,
        correlation_length: Float[Array, ""] | float,
        degrees_of_freedom: Float[Array, ""] | float,
        relative: Float[Array, ""] | float = 0.0,
    ) -> None:
        """The likelihood as site `velocity`: correlated Student-t about the modelled components.

        What the shallow-ice equation gets wrong (side drag, the thickness of a trunk) it gets wrong over a
        whole reach of the glacier, so residuals are correlated with exp(-distance / length); as independent data
        a residual counts once for every block that shares it, and intervals are too narrow.

        Args:
            history: a run that saved the date of the images.
            discrepancy: scale of what the shallow-ice equation cannot say, m per year, added in squares.
            correlation_length: of the discrepancy, m.
            degrees_of_freedom: of the Student-t.
            relative: a share of the modelled speed of the block, added in squares to the discrepancy: what errors of
                the thickness from cell to cell leave is in proportion to the speed.
        """
        expected = self.predict(history)
        numpyro.deterministic("modelled_velocity", expected)
        distance = jnp.hypot(self.x[:, None] - self.x, self.y[:, None] - self.y)
        variance = discrepancy**2 + relative**2 * jnp.sum(expected**2, -1)
        shared = jnp.sqrt(variance[:, None] * variance) * jnp.exp(-distance / correlation_length)
        covariance = shared + jax.vmap(jnp.diag)(self.sigma.T**2)
        numpyro.sample("velocity", CorrelatedStudentT(degrees_of_freedom, expected, covariance), obs=self.velocity)
