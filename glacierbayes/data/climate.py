"""Reads OGGM's `climate_historical.nc` as a `Climate` of whole calendar years."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from glacierbayes.data.schema import check_units, open_netcdf
from glacierbayes.errors import InputError
from glacierbayes.glacier import Climate

CLIMATE = "climate_historical.nc"
_TEMPERATURE = ("degC", "deg C", "°C", "C", "celsius", "Celsius", "degree_Celsius", "degrees_Celsius")
_PRECIPITATION = ("kg m-2", "kg m-2 month-1", "mm", "mm month-1", "mm mo-1")
_REMEDY = "let OGGM write it again (task process_climate_data), or remove it to go without climate"


def read_climate(path: Path) -> tuple[Climate, list[str]]:
    """Reads the monthly climate, and a note where months of incomplete calendar years were left out.

    Raises:
        InputError: not readable, a variable is missing or in other units, values are NaN, the months are not
            monthly or not consecutive, there is no whole calendar year, or `ref_hgt` is missing.
    """
    data = open_netcdf(path, _REMEDY)
    values = {}
    for name, units in {"temp": _TEMPERATURE, "prcp": _PRECIPITATION}.items():
        if name not in data or data[name].dims != ("time",):
            raise InputError(f"{path}: variable {name} on dimension time is missing; {_REMEDY}")
        check_units(data[name], units, name, path)
        array = np.asarray(data[name].values, float)
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise InputError(f"{path}: {name} is not a number in {bad.size} of {array.size} months; {_REMEDY}")
        values[name] = array
    if values["prcp"].min(initial=0.0) < 0:
        raise InputError(f"{path}: prcp is as low as {values['prcp'].min():.6g} kg m-2, expected at least 0; {_REMEDY}")
    month = _months(data, path)
    first = int(-(-month[0] // 12) * 12 - month[0])
    years = (month.size - first) // 12
    if years < 1:
        raise InputError(f"{path}: time has {month.size} months and no whole calendar year; {_REMEDY}")
    height = float(np.ravel(data.attrs.get("ref_hgt", np.nan))[0])
    if not np.isfinite(height):
        raise InputError(f"{path}: attribute ref_hgt (elevation that temp belongs to, m) is missing; {_REMEDY}")
    whole = slice(first, first + 12 * years)
    climate = Climate(
        temperature=jnp.asarray(values["temp"][whole].reshape(years, 12)),
        precipitation=jnp.asarray(values["prcp"][whole].reshape(years, 12)),
        reference_height=height,
        first_year=int(month[first] // 12),
        source=str(data.attrs.get("climate_source", "not stated")),
    )
    left_out = month.size - 12 * years
    return climate, [f"climate: {left_out} months of incomplete calendar years left out"] if left_out else []


def _months(data, path: Path) -> np.ndarray:
    """The calendar months of the time axis, counted from January of year 0."""
    if "time" not in data.coords or not hasattr(data["time"], "dt"):
        raise InputError(f"{path}: coordinate time holds no dates; {_REMEDY}")
    try:
        time = data["time"].dt
        month = np.asarray(time.year.values) * 12 + np.asarray(time.month.values) - 1
    except (AttributeError, TypeError) as error:
        raise InputError(f"{path}: coordinate time holds no dates; {_REMEDY}") from error
    steps = np.diff(month)
    if np.any(steps != 1):
        at = int(np.flatnonzero(steps != 1)[0])
        year, number = divmod(int(month[at]), 12)
        raise InputError(
            f"{path}: time goes {int(steps[at])} months on after {year}-{number + 1:02d}, "
            f"expected one value for every month; {_REMEDY}"
        )
    return month
