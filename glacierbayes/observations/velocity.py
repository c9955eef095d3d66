"""Surface velocity: means of its components over blocks, with a correlated discrepancy and heavy tails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int
from numpyro.distributions.transforms import AffineTransform

from glacierbayes.declarations import Variable
from glacierbayes.distributions import lognormal
from glacierbayes.errors import InputError
from glacierbayes.observations.base import Observation
from glacierbayes.observations.correlated import CorrelatedStudentT
from glacierbayes.sites import sample

if TYPE_CHECKING:
    from glacierbayes.glacier import Glacier
    from glacierbayes.solvers.history import History

BLOCK_SIZE = 1000.0  # m; at least two correlation lengths of the product's error (e-fold 200 to 240 m)
MIN_BLOCK_COVERAGE = 0.5  # a block counts where at least this share of its cells is ice with a velocity
# With tails that have no variance, predictions are worthless. Where the stated errors are too large the fit goes there.
MIN_DEGREES_OF_FREEDOM = 2.0


class NothingCovered(InputError):
    """No block of the grid has enough cells with ice and a velocity."""


class Velocity(Observation):
    """Mean surface velocity over square blocks of ice.

    A block is one datum and a pixel is not: the errors of the product are correlated over several hundred metres, and
    the shallow-ice equation is uninformative about a single cell.

    The error model is a multivariate Student-t. What the shallow-ice equation gets wrong (side drag, the thickness of
    a trunk) it gets wrong over a whole reach of the glacier, so that residuals are correlated with
    exp(-distance / length). If they were taken as independent, a residual would count once for every block that shares
    it, and intervals would be too narrow.

    The relative discrepancy is what errors of the thickness from cell to cell leave in the speed of a block, as a share
    of it. Ice flows around a bed that is wrong until its flux is right again; what is left is the error of the
    thickness, 10 to 20 % over a kilometre, and in fast ice more than any number of m per year that fits slow ice too
    (`experiments/diffusivity_twin.py`).

    Attributes:
        velocity: (block, 2) observed mean vx, vy, m per year.
        sigma: (block, 2) standard error of the product, m per year.
        block: (y, x) the block each cell counts in, -1 for none.
        x, y: (block,) centre of the cells that count, m.
        ice_thickness: (block,) mean thickness of the named product in the block, m.
        year: decimal year of the images.
        relative_discrepancy: whether the error model has a discrepancy in proportion to the modelled speed.
    """

    name = "velocity"
    units = "m yr-1"
    long_name = "mean surface velocity of a block"
    dims = ("block", "component")

    velocity: Float[Array, "block 2"]
    sigma: Float[Array, "block 2"]
    block: Int[Array, "rows columns"]
    x: Float[Array, " block"]
    y: Float[Array, " block"]
    ice_thickness: Float[Array, " block"]
    year: float = eqx.field(static=True)
    relative_discrepancy: bool = eqx.field(static=True, default=False)

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
        blocks = np.flatnonzero(covered >= MIN_BLOCK_COVERAGE * high * wide)
        if blocks.size == 0:
            raise NothingCovered(
                f"Velocity: no block of {block_size:g} m has ice and a velocity in {100 * MIN_BLOCK_COVERAGE:g} % of "
                f"its cells ({int(ice.sum())} cells of the grid have both); take a smaller block_size, or leave the "
                "velocity out"
            )
        index = np.full(counts.size, -1)
        index[blocks] = np.arange(blocks.size)
        block = np.where(ice, index[label], -1)

        def mean(field: np.ndarray) -> np.ndarray:
            total = np.bincount(block[block >= 0], weights=field[block >= 0], minlength=blocks.size)
            return total / covered[blocks]

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
    def observed(self) -> Float[Array, "block 2"]:
        """Observed mean vx, vy of every block, m per year."""
        return self.velocity

    @property
    def years(self) -> tuple[float, ...]:
        """Decimal year of the images, at which the run must save the thickness."""
        return (self.year,)

    @property
    def coordinates(self) -> dict[str, Any]:
        """Numbers of the blocks, and names of the components."""
        return {"block": np.arange(self.velocity.shape[0]), "component": ["vx", "vy"]}

    @property
    def constants(self) -> dict[str, Variable]:
        """The block of every cell, the centres and the thickness of the blocks, and the standard errors."""
        label = "block of the velocity that a cell counts in, -1 for none"
        return {
            "velocity_block": Variable(("y", "x"), self.block, "1", label),
            "velocity_block_x": Variable(("block",), self.x, "m", "projected x of a block"),
            "velocity_block_y": Variable(("block",), self.y, "m", "projected y of a block"),
            "velocity_block_thickness": Variable(
                ("block",), self.ice_thickness, "m", "mean ice thickness of a block, named product"
            ),
            "velocity_sigma": Variable(self.dims, self.sigma, self.units, "standard error of the velocity product"),
        }

    def block_mean(self, field: Float[Array, "rows columns"]) -> Float[Array, " block"]:
        """Mean of a field (y, x) over the cells of each block, in the unit of the field."""
        ids = self.block.ravel()
        size = self.velocity.shape[0]
        # cells of no block go to one more segment, which is dropped
        total = jax.ops.segment_sum(field.ravel(), jnp.where(ids < 0, size, ids), size + 1)[:size]
        cells = jax.ops.segment_sum(jnp.ones(ids.shape), jnp.where(ids < 0, size, ids), size + 1)[:size]
        return total / cells

    def predict(self, result: History) -> Float[Array, "block 2"]:
        """Modelled means of vx, vy over the blocks at the date of the images, m per year.

        Raises:
            ValueError: the run did not save the date of the images.
        """
        vx, vy = result.surface_velocity(self.year)
        return jnp.stack([self.block_mean(vx), self.block_mean(vy)], -1)

    def sample_errors(self) -> dict[str, Array]:
        """Samples the discrepancy: its scale (m per year), correlation length (m), tails, and share of the speed.

        It is correlated over some kilometres, which is a few widths of a valley.
        """
        scale = "scale of what shallow ice cannot say of a block"
        discrepancy = sample("velocity_discrepancy", lognormal(10.0, 2.5), "m yr-1", scale)
        label = "correlation length of the discrepancy"
        length = sample("velocity_correlation_length", lognormal(2000.0, 2.0), "m", label)
        above = AffineTransform(MIN_DEGREES_OF_FREEDOM, 1.0, domain=dist.constraints.positive)
        tails = dist.TransformedDistribution(dist.Gamma(2.0, 0.1), above)
        freedom = sample("velocity_degrees_of_freedom", tails, "1", "degrees of freedom of the Student-t")
        errors = {"discrepancy": discrepancy, "correlation_length": length, "degrees_of_freedom": freedom}
        if self.relative_discrepancy:
            label = "discrepancy as a share of the speed of the block"
            errors["relative"] = sample("velocity_relative_discrepancy", lognormal(0.1, 2.0), "1", label)
        return errors

    def distribution(self, predicted: Float[Array, "block 2"], errors: Mapping[str, Any]) -> CorrelatedStudentT:
        """A multivariate Student-t over the blocks, for each component by itself.

        Args:
            predicted: modelled means of vx, vy, m per year.
            errors: "discrepancy" (scale of what the shallow-ice equation cannot say, m per year),
                "correlation_length" (of the discrepancy, m), "degrees_of_freedom" (of the Student-t), and optionally
                "relative" (a share of the modelled speed of the block, added in squares to the discrepancy).
        """
        distance = jnp.hypot(self.x[:, None] - self.x, self.y[:, None] - self.y)
        relative = errors.get("relative", 0.0)
        variance = errors["discrepancy"] ** 2 + relative**2 * jnp.sum(predicted**2, -1)
        shared = jnp.sqrt(variance[:, None] * variance) * jnp.exp(-distance / errors["correlation_length"])
        covariance = shared + jax.vmap(jnp.diag)(self.sigma.T**2)
        return CorrelatedStudentT(errors["degrees_of_freedom"], predicted, covariance)
