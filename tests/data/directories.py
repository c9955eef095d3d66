"""A small glacier directory in OGGM's conventions, made on the spot."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

CELL = 100.0
ROWS, COLUMNS = 33, 26


def gridded() -> xr.Dataset:
    """A valley glacier that flows south, y descending: 17 x 10 cells of ice on a slope of 1 in 5."""
    x = 400_050.0 + CELL * np.arange(COLUMNS)
    y = 5_100_050.0 - CELL * np.arange(ROWS)
    mask = np.zeros((ROWS, COLUMNS), np.int8)
    mask[7:24, 8:18] = 1
    rows, columns = np.indices(mask.shape)
    thickness = np.where(mask, 120.0 - 4.0 * (columns - 12.5) ** 2 + rows, np.nan)
    topo = 3000.0 - 0.2 * CELL * rows + 3.0 * (columns - 12.5) ** 2
    speed = np.where(mask, 20.0 + rows, 0.0)
    fields = {
        "topo": (topo, "m"),
        "glacier_mask": (mask, "-"),
        "consensus_ice_thickness": (thickness, "m"),
        "millan_ice_thickness": (1.2 * thickness, "m"),
        "millan_vx": (0.1 * speed, "m"),
        "millan_vy": (-speed, "m"),
    }
    return xr.Dataset(
        {
            name: (("y", "x"), field.astype(np.int8 if units == "-" else np.float32), {"units": units})
            for name, (field, units) in fields.items()
        },
        coords={"x": ("x", x.astype(np.float32), {"units": "m"}), "y": ("y", y.astype(np.float32), {"units": "m"})},
        attrs={"pyproj_srs": "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"},
    )


def climate(first: str = "1999-10-01", months: int = 12 * 20 + 3) -> xr.Dataset:
    time = np.datetime64(first[:7], "M") + np.arange(months)
    season = np.cos(2 * np.pi * (np.arange(months) + int(first[5:7]) - 7) / 12)
    return xr.Dataset(
        {
            "temp": ("time", (2.0 + 8.0 * season).astype(np.float32), {"units": "degC"}),
            "prcp": ("time", np.full(months, 100.0, np.float32), {"units": "kg m-2"}),
        },
        coords={"time": time.astype("datetime64[ns]")},
        attrs={"ref_hgt": 2500.0, "climate_source": "made up"},
    )


def outline(**attributes: str) -> bytes:
    """`outlines.tar.gz` with one record."""
    width = 20
    header = 32 + 32 * len(attributes) + 1
    table = bytearray(32)
    table[0], table[4:8] = 3, (1).to_bytes(4, "little")
    table[8:10], table[10:12] = header.to_bytes(2, "little"), (1 + width * len(attributes)).to_bytes(2, "little")
    for name in attributes:
        column = bytearray(32)
        column[: len(name)], column[11], column[16] = name.encode(), ord("C"), width
        table += column
    table += b"\r " + "".join(value.ljust(width) for value in attributes.values()).encode() + b"\x1a"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("outlines.dbf")
        member.size = len(table)
        archive.addfile(member, io.BytesIO(bytes(table)))
    return stream.getvalue()


class Folder:
    """A glacier directory that a test can spoil."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir()
        gridded().to_netcdf(path / "gridded_data.nc", engine="h5netcdf")
        climate().to_netcdf(path / "climate_historical.nc", engine="h5netcdf")
        self.write_json(
            "glacier_grid.json",
            {
                "proj": "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs",
                "x0y0": [400_050.0, 5_100_050.0],
                "nxny": [COLUMNS, ROWS],
                "dxdy": [CELL, -CELL],
                "pixel_ref": "center",
            },
        )
        self.write_json(
            "mb_calib.json",
            {
                "rgi_id": "RGI60-11.00001",
                "melt_f": 5.0,
                "reference_mb": -800.0,
                "reference_mb_err": 150.0,
                "reference_period": "2000-01-01_2020-01-01",
            },
        )
        (path / "dem_source.txt").write_text("A DEM\n\nDate range: 2010-2015\n")
        (path / "outlines.tar.gz").write_bytes(outline(RGIId="RGI60-11.00001", Form="0", TermType="0", Surging="0"))

    def write_json(self, name: str, content: dict) -> None:
        (self.path / name).write_text(json.dumps(content))

    def edit_json(self, name: str, **changes) -> None:
        self.write_json(name, {**json.loads((self.path / name).read_text()), **changes})

    def edit(self, change: Callable[[xr.Dataset], xr.Dataset | None], name: str = "gridded_data.nc") -> None:
        """Changes a NetCDF file, in place or by what the function returns."""
        data = xr.load_dataset(self.path / name)
        changed = change(data)
        (self.path / name).unlink()
        (data if changed is None else changed).to_netcdf(self.path / name, engine="h5netcdf")
