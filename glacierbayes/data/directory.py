"""An OGGM glacier directory on disk: its files are checked when they are opened."""

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
    """The files of an OGGM glacier directory, with the hash of every file that was read.

    Attributes:
        path: the folder.
        data: content of `gridded_data.nc`, with x ascending.
        grid: content of `glacier_grid.json`.
        x, y: (x,) and (y,) coordinates of the cell centres in the order of `data`, m.
        calibration: content of `mb_calib.json`, or None where the folder has no such file.
        rgi_id: RGI id of the glacier, or None where neither folder nor files state it.
        hashes: SHA-256 of every file that was read, by file name.

    Raises:
        InputError: a required file is missing or wrong.
    """

    def __init__(self, directory: Any):
        """Opens the folder.

        Args:
            directory: path of the folder, or an OGGM `GlacierDirectory` (anything with `.dir`).
        """
        folder = directory.dir if hasattr(directory, "dir") else directory
        self.path = Path(folder)
        if not self.path.is_dir():
            raise InputError(
                f"{folder}: no such folder, expected an OGGM glacier directory with {GRIDDED}; "
                "check the path, or get one with glacierbayes fetch"
            )
        self.hashes: dict[str, str] = {}
        self.grid = schema.read_json(self.required_path(GRID))
        path = self.required_path(GRIDDED)
        self.data = _west_to_east(schema.open_netcdf(path, "fetch the glacier directory again"))
        self.x, self.y = schema.read_axes(self.data, self.grid, path, self.path / GRID)
        calibration = self.optional_path(CALIBRATION)
        self.calibration = None if calibration is None else schema.read_json(calibration)
        self.rgi_id = self._rgi_id(getattr(directory, "rgi_id", None))

    def required_path(self, name: str) -> Path:
        """Returns the path of a required file and hashes the file.

        Raises:
            InputError: the folder has no such file.
        """
        path = self.optional_path(name)
        if path is None:
            raise InputError(
                f"{self.path / name}: no such file, and an OGGM glacier directory needs it; "
                "check the path, or get the directory with glacierbayes fetch"
            )
        return path

    def optional_path(self, name: str) -> Path | None:
        """Returns the path of a file and hashes the file; None where the folder has no such file."""
        path = self.path / name
        if not path.is_file():
            return None
        with path.open("rb") as file:
            self.hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return path

    def field(self, name: str) -> np.ndarray:
        """Reads a variable of `schema.VARIABLES` as a float64 array (y, x); see `schema.read_field`."""
        return schema.read_field(self.data, name, self.path / GRIDDED)

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
