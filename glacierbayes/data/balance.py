"""Reads the reference balance in OGGM's `mb_calib.json` as a `GeodeticBalance`."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

from glacierbayes import constants
from glacierbayes.errors import InputError
from glacierbayes.observations.geodetic import GeodeticBalance

CALIBRATION = "mb_calib.json"


def read_balance(content: dict[str, Any], path: Path) -> tuple[GeodeticBalance | None, list[str]]:
    """Reads the geodetic balance, or a note on why there is none.

    The file states `reference_mb` and `reference_mb_err` in mm w.e. per year over `reference_period`. Its melt factors
    were calibrated on that balance and are not data.

    Raises:
        InputError: a value is no number, the error is not positive, or the period cannot be read.
    """
    if content.get("reference_mb") is None:
        return None, [f"no geodetic balance: {CALIBRATION} has no reference_mb"]
    if content.get("reference_mb_err") is None:
        return None, [f"no geodetic balance: {CALIBRATION} has a reference_mb without reference_mb_err"]
    balance, sigma = (_number(content, name, path) for name in ("reference_mb", "reference_mb_err"))
    if sigma <= 0:
        raise InputError(
            f"{path}: reference_mb_err is {sigma:g}, expected a positive standard error in mm w.e. per year; "
            "correct it, or remove it to go without the balance"
        )
    text = str(content.get("reference_period"))
    try:
        start, end = (_decimal_year(date) for date in text.split("_"))
    except ValueError as error:
        raise InputError(
            f"{path}: reference_period is '{text}', expected two dates as in '2000-01-01_2020-01-01'; correct it"
        ) from error
    if start >= end:
        raise InputError(f"{path}: reference_period '{text}' ends before it starts; correct it")
    per_metre = constants.WATER_DENSITY  # kg m-2, which is mm w.e., to m w.e.
    return GeodeticBalance(balance / per_metre, sigma / per_metre, start, end), []


def _number(content: dict[str, Any], name: str, path: Path) -> float:
    value = content[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}: {name} is {value!r}, expected a number in mm w.e. per year; correct or remove it")
    return float(value)


def _decimal_year(text: str) -> float:
    date = datetime.date.fromisoformat(text)
    first, following = datetime.date(date.year, 1, 1), datetime.date(date.year + 1, 1, 1)
    return date.year + (date - first) / (following - first)
