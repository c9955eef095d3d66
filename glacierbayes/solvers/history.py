"""`History`: the result of a run, and the quantities that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from glacierbayes import constants
from glacierbayes.glacier import Glacier
from glacierbayes.laws.base import FlowLaw
from glacierbayes.physics.sia import surface_velocity
from glacierbayes.solvers.results import Result, in_words

if TYPE_CHECKING:
    import xarray


class History(eqx.Module):
    """The ice thickness in time; surface, velocity and mass change follow from it.

    Attributes:
        time: decimal years, ascending: `save_at` and both ends of the run.
        thickness: (time, y, x), m; NaN where the solve failed.
        supplied: ice that the balance put in, net of what could not be melted, m3.
        applied: snow and melt added up without sign, m3.
        outflow: ice that left over the grid's edge, m3.
        result_code: the outcome of the solve, a `solvers.Result`; `result` says it in words.
        glacier, law: the glacier and the flow law of the run.
    """

    time: tuple[float, ...] = eqx.field(static=True)
    thickness: Float[Array, "time y x"]
    supplied: Float[Array, ""]
    applied: Float[Array, ""]
    outflow: Float[Array, ""]
    result_code: Int[Array, ""]
    glacier: Glacier
    law: FlowLaw

    @property
    def ok(self) -> Bool[Array, ...]:
        """Whether the solve succeeded."""
        return self.result_code == Result.OK

    @property
    def result(self) -> Any:
        """The outcome of the solve in words: "ok", or why it failed (`solvers.RESULTS`).

        It is a string, or an array of strings for a batch of runs. It is not available where JAX traces the history;
        use `result_code` there.
        """
        return in_words(self.result_code)

    def index(self, year: float) -> int:
        """Position of a saved date, a decimal year, in `time`.

        Raises:
            ValueError: the date was not saved.
        """
        for i, saved in enumerate(self.time):
            if abs(saved - year) < 1e-6:
                return i
        dates = ", ".join(f"{t:g}" for t in self.time)
        raise ValueError(f"History: {year:g} was not saved (there are {dates}); add it to save_at of simulate")

    def surface(self, year: float) -> Float[Array, "y x"]:
        """Surface elevation at a saved date, m."""
        return self.glacier.bed + self.thickness[self.index(year)]

    def surface_velocity(self, year: float) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
        """Surface velocity at a saved date, from the law of the run.

        Returns:
            vx, vy along the map's x and y, m per year, 0 where there is no ice.

        Raises:
            ValueError: the date was not saved.
        """
        glacier = self.glacier
        law = self.law.bind_fields(glacier.fields)
        return surface_velocity(law, self.thickness[self.index(year)], self.surface(year), glacier.dx, glacier.dy)

    def volume(self) -> Float[Array, " time"]:
        """Ice volume on the grid at the saved dates, m3."""
        return jnp.sum(self.thickness, (1, 2)) * self.glacier.cell_area

    def mass_change(self, start: float | None = None, end: float | None = None) -> Float[Array, ""]:
        """Volume change inside the outline over the outline's area, as geodetic products count it.

        Args:
            start, end: saved dates, by default the ends of the run.

        Returns:
            m w.e. per year.

        Raises:
            ValueError: a date was not saved, or there is no time between them.
        """
        first = 0 if start is None else self.index(start)
        last = len(self.time) - 1 if end is None else self.index(end)
        if last <= first:
            raise ValueError(f"History: no time between {self.time[first]:g} and {self.time[last]:g}")
        change = jnp.where(self.glacier.mask, self.thickness[last] - self.thickness[first], 0.0)
        mean = jnp.sum(change) / jnp.sum(self.glacier.mask)
        years = self.time[last] - self.time[first]
        return mean * (constants.ICE_DENSITY / constants.WATER_DENSITY) / years

    @property
    def mass_error(self) -> Float[Array, ""]:
        """The relative error of the mass budget.

        It is |final - initial - supplied + outflow| over the larger of the initial volume and the balance applied.
        """
        volume = self.volume()
        lost = jnp.abs(volume[-1] - volume[0] - self.supplied + self.outflow)
        return lost / jnp.maximum(jnp.maximum(volume[0], self.applied), jnp.finfo(float).tiny)

    def to_dataset(self, **attributes: Any) -> xarray.Dataset:
        """Thickness, surface and velocity at every saved date, with units; `attributes` are added to its attributes."""
        import numpy as np
        import xarray as xr

        speeds = [self.surface_velocity(t) for t in self.time]
        dims = ("time", "y", "x")
        data = {
            "thickness": (np.asarray(self.thickness), "m", "ice thickness"),
            "surface": (np.asarray(self.glacier.bed + self.thickness), "m", "surface elevation"),
            "velocity_x": (np.stack([np.asarray(v[0]) for v in speeds]), "m yr-1", "surface velocity along x"),
            "velocity_y": (np.stack([np.asarray(v[1]) for v in speeds]), "m yr-1", "surface velocity along y"),
        }
        dataset = xr.Dataset(
            {k: (dims, v, {"units": u, "long_name": n}) for k, (v, u, n) in data.items()},
            coords={
                "time": ("time", list(self.time), {"units": "yr", "long_name": "decimal year"}),
                "y": ("y", np.asarray(self.glacier.y), {"units": "m", "long_name": "projected y"}),
                "x": ("x", np.asarray(self.glacier.x), {"units": "m", "long_name": "projected x"}),
            },
        )
        dataset["bed"] = (("y", "x"), np.asarray(self.glacier.bed), {"units": "m", "long_name": "bed elevation"})
        dataset["mask"] = (("y", "x"), np.asarray(self.glacier.mask, "int8"), {"units": "1", "long_name": "outline"})
        dataset.attrs = {
            "crs": self.glacier.crs or "",
            "rgi_id": self.glacier.rgi_id or "",
            "mass_error": float(self.mass_error),
            "solver_ok": int(bool(self.ok)),
            "solver_result": self.result,
            **attributes,
        }
        return dataset
