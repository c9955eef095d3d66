"""The required content of `gridded_data.nc`: variables, dimensions, units and a regular grid.

Every check raises an `InputError` that names the file, the variable and a remedy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glacierbayes.errors import InputError

GRIDDED = "gridded_data.nc"
GRID = "glacier_grid.json"
THICKNESS_PRODUCTS = {"consensus": "consensus_ice_thickness", "millan": "millan_ice_thickness"}

_LENGTH = ("m", "metre", "metres", "meter", "meters", "m a.s.l.")
_PER_YEAR = ("yr", "a", "y", "year")
# OGGM writes velocities and elevation changes with `units = m` and means m per year
_SPEED = ("m", *(form.format(t) for t in _PER_YEAR for form in ("m {}-1", "m/{}", "m {}^-1", "m {}**-1", "m per {}")))
_AXIS_TOLERANCE = 0.02  # of a cell, beyond the rounding of the float32 in OGGM's files


@dataclass(frozen=True)
class Variable:
    """A field on (y, x) of `gridded_data.nc`.

    Attributes:
        units: accepted spellings of the unit; an empty tuple accepts every unit.
        meaning: the quantity and its unit in words, for messages.
    """

    units: tuple[str, ...]
    meaning: str


VARIABLES = {
    "topo": Variable(_LENGTH, "surface elevation, m"),
    "glacier_mask": Variable((), "the outline, 1 inside"),
    "consensus_ice_thickness": Variable(_LENGTH, "ice thickness, Farinotti et al. 2019, m"),
    "millan_ice_thickness": Variable(_LENGTH, "ice thickness, Millan et al. 2022, m"),
    "millan_vx": Variable(_SPEED, "surface velocity along the map's x, m per year"),
    "millan_vy": Variable(_SPEED, "surface velocity along the map's y, m per year"),
    "millan_err_vx": Variable(_SPEED, "standard error of millan_vx, m per year"),
    "millan_err_vy": Variable(_SPEED, "standard error of millan_vy, m per year"),
    "debris_mask": Variable((), "debris cover, 1 where the ice is covered"),
}


def first_line(error: Exception) -> str:
    """Returns the first line of an error message, at most 160 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def open_netcdf(path: Path, remedy: str) -> xr.Dataset:
    """Reads a NetCDF file into memory.

    Args:
        path: the file.
        remedy: advice that ends the message where the file cannot be read.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return xr.load_dataset(path)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable NetCDF file ({first_line(error)});\n{remedy}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: the file cannot be read, or holds something else than a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not readable as JSON ({first_line(error)}); write the glacier directory again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; write the glacier directory again")
    return content


def read_field(dataset: xr.Dataset, name: str, path: Path) -> np.ndarray:
    """Reads a variable of `VARIABLES` as a float64 array (y, x).

    Args:
        dataset: content of the file.
        name: of the variable.
        path: of the file, for messages.

    Raises:
        InputError: the variable is missing, has other dimensions, holds no numbers or is in other units.
    """
    variable = VARIABLES[name]
    if name not in dataset:
        present = ", ".join(sorted(str(v) for v in dataset.data_vars)) or "nothing"
        raise InputError(
            f"{path}: variable {name} ({variable.meaning}) is missing; the file has {present}.\n"
            "Let OGGM write it into the glacier directory"
        )
    array = dataset[name]
    if set(array.dims) != {"y", "x"}:
        raise InputError(f"{path}: {name} has dimensions {array.dims}, expected ('y', 'x'); save one field on the grid")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: {name} is of type {array.dtype}, expected numbers; save it as float")
    check_units(array, variable.units, name, path)
    return np.asarray(array.transpose("y", "x").values, float)


def check_units(array: xr.DataArray, accepted: tuple[str, ...], name: str, path: Path) -> None:
    """Checks the attribute `units` of a variable; a variable without the attribute passes.

    Raises:
        InputError: the stated unit is not among the accepted ones.
    """
    stated = array.attrs.get("units")
    if not accepted or stated is None:
        return
    if " ".join(str(stated).split()) not in accepted:
        raise InputError(
            f"{path}: {name} has units '{stated}', expected '{accepted[0]}'; "
            f"convert {name} and set its attribute units to '{accepted[0]}'"
        )


def check_finite(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Returns the values (y, x) after checking that all of them are finite.

    Raises:
        InputError: some values are NaN or infinite.
    """
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(
            f"{path}: {name} is not a number in {bad} of {values.size} cells, expected a value in every cell; "
            f"fill {name} or take another DEM"
        )
    return values


def read_axes(dataset: xr.Dataset, grid: dict[str, Any], path: Path, grid_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cell centres (x,) and (y,), float64, m, in the order of the file.

    They are computed from `glacier_grid.json` after a comparison with the coordinates in the file: OGGM stores the
    latter as float32, which resolves half a metre at 6,000 km north, and the text file is more precise.

    Raises:
        InputError: coordinates are missing, unevenly spaced, or contradict `glacier_grid.json`.
    """
    try:
        origin, size, step = ([float(v) for v in grid[key]] for key in ("x0y0", "nxny", "dxdy"))
        reference = grid.get("pixel_ref", "center")
        exact = {}
        for i, name in enumerate(("x", "y")):
            if step[i] == 0 or not np.all(np.isfinite([origin[i], size[i], step[i]])):
                raise ValueError(f"{name} has no step")
            shift = {"center": 0.0, "corner": 0.5}[reference]
            exact[name] = origin[i] + step[i] * (np.arange(int(size[i])) + shift)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{grid_path}: expected x0y0, nxny and dxdy with two numbers each and pixel_ref 'center' or 'corner' "
            f"({error!r}); write the glacier directory again"
        ) from error
    return _axis(dataset, "x", exact["x"], path, grid_path), _axis(dataset, "y", exact["y"], path, grid_path)


def _axis(dataset: xr.Dataset, name: str, exact: np.ndarray, path: Path, grid_path: Path) -> np.ndarray:
    if name not in dataset.coords or dataset[name].dims != (name,):
        raise InputError(f"{path}: coordinate {name} is missing; expected cell centres in m along dimension {name}")
    check_units(dataset[name], _LENGTH, name, path)
    values = np.asarray(dataset[name].values, float)
    if values.size < 3:
        raise InputError(f"{path}: {name} has {values.size} cells, expected at least 3; take a larger map")
    rounding = float(np.max(np.abs(np.spacing(values.astype(np.float32)))))
    step = (values[-1] - values[0]) / (values.size - 1)
    tolerance = _AXIS_TOLERANCE * abs(step) + rounding
    even = values[0] + step * np.arange(values.size)
    if not np.all(np.isfinite(values)) or step == 0 or np.abs(values - even).max() > tolerance:
        steps = np.diff(values)
        raise InputError(
            f"{path}: {name} is not evenly spaced (steps from {steps.min():.6g} to {steps.max():.6g} m); "
            "resample the fields to a regular grid"
        )
    if (values[-1] > values[0]) != (exact[-1] > exact[0]):
        exact = exact[::-1]
    if exact.size != values.size or np.abs(values - exact).max() > tolerance:
        raise InputError(
            f"{path}: {name} has {values.size} cells from {values[0]:.2f} to {values[-1]:.2f} m, but {grid_path.name} "
            f"says {exact.size} from {exact[0]:.2f} to {exact[-1]:.2f} m;\n"
            "both must come from the same glacier directory: write it again"
        )
    return exact
