"""Climatic mass balance as a term of the equation, evaluated on the moving surface."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.errors import InputError
from glacierbayes.glacier import Climate
from glacierbayes.numerics.powers import as_scalar


class MassBalance(eqx.Module):
    """A climatic mass balance. To define one, write a subclass with the method `rate`, differentiable in JAX."""

    @abstractmethod
    def rate(self, surface: Float[Array, "*cells"], start: Any, end: Any) -> Float[Array, "*cells"]:
        """Mean balance over [start, end], which lies between two `breaks`.

        Args:
            surface: elevation, m.
            start, end: decimal years.

        Returns:
            m of ice per year.
        """

    def breaks(self, start: float, end: float) -> tuple[float, ...]:
        """Dates in (start, end) at which the rate is discontinuous, so that no time step contains them.

        Raises:
            InputError: the balance does not cover the years.
        """
        return ()

    def laid_out(self, cells: Callable[[Any], Any]) -> MassBalance:
        """The balance with its (y, x) fields, where it has any, turned into vectors by `cells`."""
        return self


class Prescribed(MassBalance):
    """A map of the balance that does not depend on the surface.

    Attributes:
        field: (y, x) on the glacier's grid, m w.e. per year.
        density: density of the ice, kg m-3.
    """

    field: Float[Array, "*cells"]
    density: float = eqx.field(static=True, default=constants.ICE_DENSITY)

    def rate(self, surface: Float[Array, "*cells"], start: Any, end: Any) -> Float[Array, "*cells"]:
        """The balance at a surface elevation in m; m of ice per year, of the shape of `surface`."""
        return self.field * (constants.WATER_DENSITY / self.density) + jnp.zeros_like(surface)

    def laid_out(self, cells: Callable[[Any], Any]) -> Prescribed:
        """The balance with its field turned into a vector by `cells`."""
        return Prescribed(cells(self.field), self.density)


class LinearGradient(MassBalance):
    """A balance that increases linearly with elevation up to a maximum and is the same every year.

    Attributes:
        ela: equilibrium line altitude, m.
        gradient: m w.e. per year per m.
        maximum: m w.e. per year.
        density: density of the ice, kg m-3.
    """

    ela: Float[Array, ""]
    gradient: Float[Array, ""]
    maximum: Float[Array, ""]
    density: float = eqx.field(static=True)

    def __init__(self, ela: Any, gradient: Any, maximum: Any = jnp.inf, density: float = constants.ICE_DENSITY):
        """All parameters are scalars; each may be inferred."""
        self.ela, self.gradient, self.maximum = as_scalar(ela), as_scalar(gradient), as_scalar(maximum)
        self.density = density

    def rate(self, surface: Float[Array, "*cells"], start: Any, end: Any) -> Float[Array, "*cells"]:
        """The balance at a surface elevation in m; m of ice per year, of the shape of `surface`."""
        water = jnp.minimum(self.gradient * (surface - self.ela), self.maximum)
        return water * (constants.WATER_DENSITY / self.density)


class TemperatureIndex(MassBalance):
    """Monthly temperature index model with OGGM's definitions (Maussion et al. 2019, MonthlyTIModel).

    Snow is all precipitation below 0 degC, none above 2 degC, linear in between; melt is the melt factor times the
    monthly mean above -1 degC times 365/12 days; the temperature falls with 6.5 K per km.

    Attributes:
        climate: monthly temperature and precipitation.
        melt_factor: kg m-2 d-1 K-1.
        precipitation_factor: dimensionless.
        temperature_bias: K, added to the temperature.
        density: density of the ice, kg m-3.
    """

    climate: Climate
    melt_factor: Float[Array, ""]
    precipitation_factor: Float[Array, ""]
    temperature_bias: Float[Array, ""]
    density: float = eqx.field(static=True)

    def __init__(
        self,
        climate: Climate | None,
        melt_factor: Any,
        precipitation_factor: Any,
        temperature_bias: Any,
        density: float = constants.ICE_DENSITY,
    ):
        """All parameters are scalars; each may be inferred.

        Raises:
            InputError: there is no climate.
        """
        if climate is None:
            raise InputError(
                "TemperatureIndex: the glacier has no climate (climate_historical.nc); "
                "add the file, or use LinearGradient"
            )
        self.climate = climate
        self.melt_factor, self.precipitation_factor = as_scalar(melt_factor), as_scalar(precipitation_factor)
        self.temperature_bias, self.density = as_scalar(temperature_bias), density

    def breaks(self, start: float, end: float) -> tuple[float, ...]:
        """The starts of calendar years, since the balance is an annual sum, as in OGGM.

        Raises:
            InputError: the climate does not cover the years.
        """
        if not self.climate.covers(start, end):
            raise InputError(
                f"TemperatureIndex: the climate ({self.climate.source}) covers {self.climate.first_year} to "
                f"{self.climate.last_year}, the run needs {start:g} to {end:g}; shorten the run or use LinearGradient"
            )
        return tuple(float(year) for year in range(int(np.floor(start)) + 1, int(np.ceil(end))))

    def rate(self, surface: Float[Array, "*cells"], start: Any, end: Any) -> Float[Array, "*cells"]:
        """The mean over the calendar year that contains [start, end], m of ice per year."""
        snow, degrees = self.year(surface, jnp.floor(0.5 * (start + end)).astype(int))
        return (self.precipitation_factor * snow - self.melt_factor * degrees) / self.density

    def year(self, surface: Float[Array, "*cells"], year: Any) -> tuple[Array, Array]:
        """Snowfall and degree days of one calendar year at a surface elevation in m.

        Returns:
            Snowfall at a precipitation factor of 1, kg m-2, and degree days above the temperature at which ice melts,
            K d, both of the shape of `surface`.
        """
        row = year - self.climate.first_year
        temperature = self.climate.temperature[row] + self.temperature_bias
        precipitation = self.climate.precipitation[row]
        lapse = constants.LAPSE_RATE * (surface - self.climate.reference_height)
        snow, degrees = jnp.zeros_like(surface), jnp.zeros_like(surface)
        span = constants.TEMPERATURE_ALL_RAIN - constants.TEMPERATURE_ALL_SNOW
        for month in range(12):  # unrolled: one fused loop over the cells
            here = temperature[month] + lapse
            share = jnp.clip((constants.TEMPERATURE_ALL_RAIN - here) / span, 0.0, 1.0)
            snow += precipitation[month] * share
            degrees += jnp.maximum(here - constants.TEMPERATURE_MELT, 0.0)
        return snow, constants.DAYS_PER_MONTH * degrees
