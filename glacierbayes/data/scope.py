"""Warnings about processes of a glacier that the shallow-ice equation leaves out, one line each."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from glacierbayes import constants
from glacierbayes.data.schema import first_line
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier

OUTLINES = "outlines.tar.gz"
_SURGING = {1: "possibly", 2: "probably", 3: "observed to be"}
_TERMINUS = {
    "TermType": {
        1: "marine-terminating (calving)",
        2: "lake-terminating",
        3: "dry-calving",
        4: "regenerated",
        5: "shelf-terminating",
    },
    "term_type": {1: "marine-terminating (calving)", 2: "lake-terminating", 3: "shelf-terminating"},
}
_SNOWFIELD = {2: "perennial snowfield", 3: "seasonal snowfield"}
_MAX_SPEED_RATIO = 5.0  # times the speed of deformation; above it, sliding or something else does the work
_MIN_COSINE = 0.5
_MIN_DEBRIS_FRACTION = 0.1
_MIN_THICKNESS = 50.0  # m; thinner ice is not compared
_SLOPE_SMOOTHING = 300.0  # m


def scope_warnings(
    attributes: Mapping[str, str],
    speed_ratio: float | None = None,
    cosine: float | None = None,
    debris: float | None = None,
) -> list[str]:
    """Returns one line, starting with "scope: ", for each process of the glacier that the equation leaves out.

    Args:
        attributes: attributes of the RGI 6 or RGI 7 outline, as text (`read_outline`).
        speed_ratio: median observed speed over median speed of deformation (`compare_with_deformation`).
        cosine: mean cosine between velocity and downhill direction.
        debris: fraction of the outline that is covered by debris.
    """
    lines = []
    surging = _code(attributes, "Surging", "surge_type")
    if surging in _SURGING:
        lines.append(f"{_SURGING[surging]} surging (RGI): its speed at one date does not tell its law")
    for name, kinds in _TERMINUS.items():
        kind = _code(attributes, name)
        if kind in kinds:
            lines.append(f"{kinds[kind]} (RGI): ice lost at the front is not in the equation")
    form = _code(attributes, "Form")
    if form in _SNOWFIELD:
        lines.append(f"{_SNOWFIELD[form]} (RGI): hardly flows")
    if debris is not None and debris >= _MIN_DEBRIS_FRACTION:
        lines.append(f"debris-covered, {debris:.0%} of the outline: melt under debris is not in the mass balance")
    if speed_ratio is not None and speed_ratio > _MAX_SPEED_RATIO:
        lines.append(
            f"observed speeds are {speed_ratio:.1f} times what ice of this thickness can deform "
            f"(A = {constants.CREEP_PARAMETER:g} Pa-3 s-1): sliding, a thickness too small, or errors"
        )
    if cosine is not None and cosine < _MIN_COSINE:
        lines.append(f"observed velocities hardly follow the slope (mean cosine {cosine:.2f}): mostly noise")
    return [f"scope: {line}" for line in lines]


def _code(attributes: Mapping[str, str], *names: str) -> int | None:
    for name in names:
        try:
            return int(float(attributes[name]))
        except (KeyError, ValueError):
            continue
    return None


def read_outline(path: Path) -> dict[str, str]:
    """Reads the attributes of the first outline in OGGM's `outlines.tar.gz` (a shapefile), all as text.

    Raises:
        InputError: the archive or the table in it cannot be read.
    """
    try:
        with tarfile.open(path) as archive:
            table = next(m for m in archive.getmembers() if m.name.endswith(".dbf"))
            content = archive.extractfile(table)
            return _first_record(content.read() if content else b"")
    except (OSError, EOFError, tarfile.TarError, StopIteration, ValueError) as error:
        raise InputError(
            f"{path}: holds no readable table of the outline (.dbf) ({first_line(error)});\n"
            "fetch the glacier directory again, or remove the file to go without the RGI attributes"
        ) from error


def _first_record(table: bytes) -> dict[str, str]:
    """The first record of a dBASE III table, as text by the name of the column.

    A table has 32 bytes of header, 32 for each column, 0x0D, then records of fixed width after a flag byte.
    """
    header = int.from_bytes(table[8:10], "little")
    if int.from_bytes(table[4:8], "little") < 1 or len(table) <= header or header < 65:
        raise ValueError("empty table")
    record, at = {}, header + 1
    for column in range(32, header - 1, 32):
        if table[column] == 0x0D:
            break
        name = table[column : column + 11].split(b"\0")[0].decode("latin-1")
        width = table[column + 16]
        record[name] = table[at : at + width].decode("utf-8", errors="replace").strip()
        at += width
    return record


def compare_with_deformation(glacier: Glacier, vx: np.ndarray, vy: np.ndarray) -> tuple[float | None, float | None]:
    """Compares the observed velocity with that of creep on the slope smoothed over 300 m.

    Args:
        glacier: its grid, surface and thickness are used.
        vx, vy: (y, x) observed surface velocity, m per year; NaN where there is none.

    Returns:
        Median observed speed over the median surface speed of Glen creep (n = 3, A = 2.4e-24), on ice over 50 m
        thick; and the mean cosine between velocity and downhill direction, on all ice. None without such cells.
    """
    from scipy.ndimage import gaussian_filter

    thickness = np.asarray(glacier.thickness, float)
    x, y = np.asarray(glacier.x, float), np.asarray(glacier.y, float)
    width = [0.5 * _SLOPE_SMOOTHING / abs(float(axis[1] - axis[0])) for axis in (y, x)]
    smooth = gaussian_filter(np.asarray(glacier.surface, float), width, mode="nearest")
    slope_y, slope_x = np.gradient(smooth, y, x)
    slope, speed = np.hypot(slope_x, slope_y), np.hypot(vx, vy)
    compared = (thickness > 0) & np.isfinite(speed) & (speed > 0) & (slope > 0)
    cosine = None
    if compared.any():
        cosine = float(np.mean(-(vx * slope_x + vy * slope_y)[compared] / (speed * slope)[compared]))
    thick = compared & (thickness > _MIN_THICKNESS)
    if not thick.any():
        return None, cosine
    stress = constants.ICE_DENSITY * constants.GRAVITY * thickness * slope
    creep = 0.5 * constants.CREEP_PARAMETER * stress**3 * thickness * constants.SECONDS_PER_YEAR
    return float(np.median(speed[thick]) / np.median(creep[thick])), cosine
