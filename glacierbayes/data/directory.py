"""An OGGM glacier directory on disk."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glacierbayes.data import schema
from glacierbayes.data.balance import CALIBRATION
from glacierbayes.data.schema import GRID, GRIDDED
from glacierbayes.errors import InputError

RGI_ID = re.compile(r"RGI60-(0[1-9]|1\d)\.\d{5}|RGI2000-v7\.0-[GC]-(0[1-9]|1\d)-\d{5}")


class Directory:
    """The files of a glacier directory, checked; remembers which were read.

    Attributes:
        path: the folder.
        data: `gridded_data.nc`, x rising.
        grid: `glacier_grid.json`.
        x, y: cell centres in the order of `data`, m.
        calibration: `mb_calib.json`, or None.
        rgi_id: of the directory, or None where nothing states it.
        hashes: SHA-256 of every file that was read, by file name.

    Raises:
        InputError: a file that is needed is missing or wrong.
    """

    def __init__(self, directory: Any):
        given = directory.dir if hasattr(directory, "dir") else directory
        self.path = Path(given)
        if not self.path.is_dir():
            raise InputError(
                f"{given}: no such folder, expected an OGGM glacier directory with {GRIDDED}; "
                "check the path, or get one with glacierbayes fetch"
            )
        self.hashes: dict[str, str] = {}
        self.grid = schema.read_json(self.needed(GRID))
        path = self.needed(GRIDDED)
        self.data = _west_to_east(schema.open_netcdf(path, "fetch the glacier directory again"))
        self.x, self.y = schema.axes(self.data, self.grid, path, self.path / GRID)
        calibration = self.optional(CALIBRATION)
        self.calibration = None if calibration is None else schema.read_json(calibration)
        self.rgi_id = self._rgi_id(getattr(directory, "rgi_id", None))

    def needed(self, name: str) -> Path:
        """Path of a file that must be there."""
        path = self.optional(name)
        if path is None:
            raise InputError(
                f"{self.path / name}: no such file, and an OGGM glacier directory needs it; "
                "check the path, or get the directory with glacierbayes fetch"
            )
        return path

    def optional(self, name: str) -> Path | None:
        """Path of a file, or None."""
        path = self.path / name
        if not path.is_file():
            return None
        with path.open("rb") as file:
            self.hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return path

    def field(self, name: str) -> np.ndarray:
        """A variable of `schema.VARIABLES` as float64 (y, x)."""
        return schema.field(self.data, name, self.path / GRIDDED)

    def _rgi_id(self, known: str | None) -> str | None:
        if known is None and RGI_ID.fullmatch(self.path.resolve().name):
            known = self.path.resolve().name
        stated = None if self.calibration is None else self.calibration.get("rgi_id")
        if known is not None and stated is not None and stated != known:
            raise InputError(
                f"{self.path / CALIBRATION}: rgi_id is '{stated}', but the directory is that of {known}; "
                "put the files of one glacier together"
            )
        return known if known is not None else stated


def _west_to_east(data: xr.Dataset) -> xr.Dataset:
    if "x" in data.coords and data["x"].size > 1 and data["x"][0] > data["x"][-1]:
        return data.isel(x=slice(None, None, -1))
    return data
