"""`Glacier`, one glacier on a regular grid, and `Climate`, its monthly climate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from glacierbayes.errors import InputError

# Margin of the window round the outline in which `simulate` works, m: ice that flows over a ridge gets about this far
# down the other side in 20 years.
WINDOW_MARGIN = 2000.0


class Climate(eqx.Module):
    """Monthly climate at one elevation, in whole calendar years.

    Attributes:
        temperature: (year, month) monthly mean air temperature, degC.
        precipitation: (year, month) monthly sums, kg m-2.
        reference_height: elevation for which both hold, m.
        first_year: calendar year of the first row.
        source: name of the climate data set.
    """

    temperature: Float[Array, "year 12"]
    precipitation: Float[Array, "year 12"]
    reference_height: float | Float[Array, ""]
    first_year: int = eqx.field(static=True)
    source: str = eqx.field(static=True, default="not stated")

    def __check_init__(self):
        """Checks the shapes.

        Raises:
            InputError: a year has not twelve months, or temperature and precipitation differ in shape.
        """
        shapes = jnp.shape(self.temperature), jnp.shape(self.precipitation)
        if len(shapes[0]) != 2 or shapes[0][1] != 12 or shapes[0] != shapes[1]:
            raise InputError(
                f"Climate: temperature and precipitation have shapes {shapes[0]} and {shapes[1]}, expected (years, 12) "
                "for both; reshape whole calendar years to (-1, 12)"
            )

    @property
    def last_year(self) -> int:
        """The calendar year of the last row."""
        return self.first_year + self.temperature.shape[0] - 1

    def covers(self, start: float, end: float) -> bool:
        """Whether the climate has every calendar year of the period [start, end], in decimal years."""
        return bool(self.first_year <= np.floor(start) and np.ceil(end) - 1 <= self.last_year)


class Glacier(eqx.Module):
    """One glacier on a regular grid (y, x), cell centres, either order of y.

    Attributes:
        bed: (y, x) bed elevation, m.
        thickness: (y, x) ice thickness, m; cut to `mask`.
        mask: (y, x) the outline; positive balance acts only inside it. Given as None it is the whole grid, and ice
            accumulates on bare rock too: where there is no outline, take thickness > 0.
        x, y: coordinates of the cell centres, m, evenly spaced.
        climate: monthly climate, or None.
        fields: further fields (y, x) that flow laws use by name, such as "temperature", each in its own unit.
        crs: map projection, as PROJ or WKT text, or None.
        surface_year: decimal year of the surface elevation, or None where it is not known.
        thickness_product: where the thickness comes from.
        notes: statements about how the fields were made, one line each, such as the number of gaps that were filled.
        window: rows and columns that `simulate` works in, (y0, y1, x0, x1).
    """

    bed: Float[Array, "y x"]
    thickness: Float[Array, "y x"]
    mask: Bool[Array, "y x"]
    x: Float[Array, " x"]
    y: Float[Array, " y"]
    climate: Climate | None
    fields: dict[str, Float[Array, "y x"]]
    crs: str | None = eqx.field(static=True)
    rgi_id: str | None = eqx.field(static=True)
    thickness_product: str | None = eqx.field(static=True)
    surface_year: float | None = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)
    window: tuple[int, int, int, int] = eqx.field(static=True)

    def __init__(
        self,
        bed: Any,
        thickness: Any,
        x: Any,
        y: Any,
        mask: Any = None,
        climate: Climate | None = None,
        crs: str | None = None,
        surface_year: float | None = None,
        *,
        rgi_id: str | None = None,
        thickness_product: str | None = None,
        fields: Mapping[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ):
        """Checks what can be checked (arrays that JAX is tracing cannot) and cuts the ice to the outline.

        Raises:
            InputError: shapes differ, coordinates are not evenly spaced, the bed or the thickness
                holds NaN, thickness is negative.
        """
        bed, thickness = jnp.asarray(bed, float), jnp.asarray(thickness, float)
        x, y = jnp.asarray(x, float), jnp.asarray(y, float)
        mask = jnp.ones(bed.shape, bool) if mask is None else _outline(mask)
        for name, field in {"bed": bed, "thickness": thickness, "mask": mask}.items():
            if field.shape != (*y.shape, *x.shape):
                raise InputError(
                    f"Glacier: {name} has shape {field.shape}, expected (y, x) = {(*y.shape, *x.shape)}; "
                    "give every field on the grid of the coordinates"
                )
        self.fields = {name: _field(name, value, bed.shape) for name, value in (fields or {}).items()}
        for name, axis in {"x": x, "y": y}.items():
            _check_axis(name, axis)
        _check_field("bed", bed)
        _check_field("thickness", thickness, lowest=0.0)
        self.window = _window(mask, thickness, x, y)
        self.bed, self.mask = bed, mask
        self.thickness = jnp.where(mask, thickness, 0.0)
        self.x, self.y, self.climate, self.crs = x, y, climate, crs
        self.rgi_id, self.thickness_product = rgi_id, thickness_product
        self.surface_year = None if surface_year is None else float(surface_year)
        self.notes = tuple(notes)

    @property
    def surface(self) -> Float[Array, "y x"]:
        """Surface elevation, m."""
        return self.bed + self.thickness

    @property
    def dx(self) -> Float[Array, ""]:
        """Cell width along x, m."""
        return (self.x[-1] - self.x[0]) / (self.x.shape[0] - 1)

    @property
    def dy(self) -> Float[Array, ""]:
        """Cell width along y, m; negative where y descends (row 0 is north)."""
        return (self.y[-1] - self.y[0]) / (self.y.shape[0] - 1)

    @property
    def cell_area(self) -> Float[Array, ""]:
        """Area of a cell, m2."""
        return jnp.abs(self.dx * self.dy)

    def scaled(self, factor: Float[Array, ""] | Float[Array, "y x"] | float) -> Glacier:
        """Returns the glacier with its thickness multiplied by a factor, the surface fixed: the bed moves.

        Args:
            factor: a number, or (y, x).
        """
        thickness = self.thickness * factor
        return eqx.tree_at(lambda g: (g.bed, g.thickness), self, (self.surface - thickness, thickness))

    def raised(self, change: Float[Array, ""] | Float[Array, "y x"] | float) -> Glacier:
        """Returns the glacier with its surface raised where there is ice, the bed fixed.

        Args:
            change: of the thickness, m, a number or (y, x); no thickness becomes negative.
        """
        thickness = jnp.where(self.thickness > 0, jnp.maximum(self.thickness + change, 0.0), 0.0)
        return eqx.tree_at(lambda g: g.thickness, self, thickness)

    def with_field(self, name: str, value: Any) -> Glacier:
        """Returns the glacier with one more field for flow laws.

        Args:
            name: the name by which laws ask for the field.
            value: (y, x), or one number for all cells.

        Raises:
            InputError: the field has another shape, or values that are not finite.
        """
        fields = {**self.fields, name: _field(name, value, self.bed.shape)}
        return eqx.tree_at(lambda g: g.fields, self, fields)


def _concrete(array: Any) -> np.ndarray | None:
    return None if isinstance(array, jax.core.Tracer) else np.asarray(array)


def _check_axis(name: str, axis: Array) -> None:
    if axis.ndim != 1 or axis.shape[0] < 3:
        raise InputError(
            f"Glacier: {name} has shape {axis.shape}, expected at least three cell centres along one dimension"
        )
    values = _concrete(axis)
    if values is None:
        return
    steps = np.diff(values)
    if not np.all(np.isfinite(values)) or steps[0] == 0 or not np.allclose(steps, steps.mean(), rtol=1e-3):
        raise InputError(
            f"Glacier: {name} is not evenly spaced (steps from {steps.min():.6g} to {steps.max():.6g} m); "
            "resample the fields to a regular grid"
        )


def _field(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """A field (y, x) for flow laws, from an array or from one number."""
    field = jnp.asarray(value, float)
    if field.shape not in ((), shape):
        raise InputError(f"Glacier: fields[{name!r}] has shape {field.shape}, expected (y, x) = {shape} or a number")
    _check_field(f"fields[{name!r}]", field)
    return jnp.broadcast_to(field, shape)


def _check_field(name: str, field: Array, lowest: float = -np.inf) -> None:
    values = _concrete(field)
    if values is None:
        return
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"Glacier: {name} is not a number in {bad} cells; fill them before making a Glacier")
    if values.min() < lowest:
        raise InputError(f"Glacier: {name} is as low as {values.min():.6g} m, expected at least {lowest:g} m")


def _outline(mask: Any) -> Array:
    known = _concrete(mask)
    if known is not None and known.dtype.kind == "f" and np.isnan(known).any():
        raise InputError("Glacier: mask is not a number in some cells; expected true inside the outline, false outside")
    return jnp.asarray(mask, bool)


def _window(mask: Array, thickness: Array, x: Array, y: Array) -> tuple[int, int, int, int]:
    """Rows and columns of the outline and the ice, with a margin for an advance.

    Whether the margin was wide enough is checked in the run itself (`solvers.simulate`).
    """
    ice, inside = _concrete(thickness), _concrete(mask)
    rows, columns = mask.shape
    across, along = _concrete(x), _concrete(y)
    if inside is None or across is None or along is None:
        return 0, rows, 0, columns
    used = inside if ice is None else inside | (ice > 0)
    if not used.any():
        return 0, rows, 0, columns
    inner_y, inner_x = np.nonzero(used)
    margin_x, margin_y = (max(4, round(WINDOW_MARGIN / abs(axis[1] - axis[0]))) for axis in (across, along))
    return (
        max(int(inner_y.min()) - margin_y, 0),
        min(int(inner_y.max()) + margin_y + 1, rows),
        max(int(inner_x.min()) - margin_x, 0),
        min(int(inner_x.max()) + margin_x + 1, columns),
    )
