"""How well the posterior meets the observations, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from glacierbayes import constants
from glacierbayes.draws.open import open_draws
from glacierbayes.draws.views import glacier_views, group
from glacierbayes.report.parameters import QUANTILES
from glacierbayes.report.registry import SectionUnavailable
from glacierbayes.statistics import STATISTICS

MIN_COUNTED_THICKNESS = (
    50.0  # m; thinner blocks are hardly informative about the flow and do not count in the statistics
)
MIN_LOGGED_SPEED = 0.1  # m per year, far below what an image shows; has a logarithm


def fit_statistics(draws: xr.DataTree | str | Path) -> dict:
    """How well the posterior meets the observations; `draws` may be the path of the NetCDF file.

    Speed, over the blocks with more than 50 m of ice (missing where there is no velocity):
        blocks: number of them; without one, the rest is NaN.
        log_correlation: of the logs of observed and posterior median speed, both at least 0.1 m per year.
        median_ratio: median of modelled over observed speed.
        coverage_90: share of blocks whose observed speed is in its 90 % predictive interval.
    Balance, one entry a period, m w.e. per year (missing where there is none):
        periods, balance_observed, balance_sigma (published), balance_modelled (posterior median),
        balance_difference_in_sigma (modelled minus observed).

    Any other kind of data, by the name of its site: the statistics that it names, as `glacierbayes.statistics` has
    them, over all of its values.

    Of several glaciers: all this by the name of the glacier.

    Raises:
        InputError: as `open_draws`.
    """
    views = glacier_views(open_draws(draws))
    fits = {
        name: _speed_statistics(view) | _balance_statistics(view) | _statistics(view) for name, view in views.items()
    }
    return fits.get("", fits)


class ObservedKind(NamedTuple):
    """One kind of data with its predictions.

    Attributes:
        name: of the observed variable.
        long_name, units: as the draws describe it.
        observed: the observed values, with their coordinates.
        modelled: (draw, ...) predictions without noise; with noise where the draws hold no other.
        predictive: (draw, ...) predictions with noise.
        statistics: names of the statistics of the fit.
    """

    name: str
    long_name: str
    units: str
    observed: xr.DataArray
    modelled: np.ndarray
    predictive: np.ndarray
    statistics: tuple[str, ...]


def observed_kinds(draws: xr.DataTree) -> list[ObservedKind]:
    """Every kind of data of one glacier for which the draws hold predictions.

    Args:
        draws: of one glacier.
    """
    predictive = group(draws, "posterior_predictive")
    kinds = []
    for key, observed in group(draws, "observed_data").data_vars.items():
        name, attributes = str(key), observed.attrs
        if name not in predictive or predictive[name].shape[2:] != observed.shape:
            continue
        noisy = _stacked(predictive[name], tuple(str(dim) for dim in predictive[name].dims[2:]))
        modelled = str(attributes.get("modelled", f"modelled_{name}"))
        made = noisy
        if modelled in predictive:
            made = _stacked(predictive[modelled], tuple(str(dim) for dim in predictive[modelled].dims[2:]))
        long_name, units = str(attributes.get("long_name", name.replace("_", " "))), str(attributes.get("units", ""))
        statistics = tuple(str(attributes.get("statistics", "coverage_90")).split())
        kinds.append(ObservedKind(name, long_name, units, observed, made, noisy, statistics))
    return kinds


def _statistics(tree: xr.DataTree) -> dict:
    others = [kind for kind in observed_kinds(tree) if kind.name not in ("velocity", "geodetic_balance")]
    return {
        kind.name: {
            name: STATISTICS[name](kind.observed.values, kind.modelled, kind.predictive)
            for name in kind.statistics
            if name in STATISTICS
        }
        for kind in others
    }


def _speed_statistics(tree: xr.DataTree) -> dict:
    try:
        observed, modelled, predictive = speeds(tree)
    except SectionUnavailable:
        return {}
    thick = group(tree, "constant_data")["velocity_block_thickness"].values > MIN_COUNTED_THICKNESS
    observed, median, predictive = observed[thick], np.median(modelled, 0)[thick], predictive[:, thick]
    lower, upper = np.quantile(predictive, QUANTILES, axis=0)
    # ice at rest counts as nearly at rest, so that no block is left out
    measured, modelled = (np.maximum(values, MIN_LOGGED_SPEED) for values in (observed, median))
    blocks, none = int(thick.sum()), float("nan")
    return {
        "blocks": blocks,
        "log_correlation": float(np.corrcoef(np.log(measured), np.log(modelled))[0, 1]) if blocks > 2 else none,
        "median_ratio": float(np.median(modelled / measured)) if blocks else none,
        "coverage_90": float(np.mean((lower <= observed) & (observed <= upper))) if blocks else none,
    }


def _balance_statistics(tree: xr.DataTree) -> dict:
    try:
        periods, measured, sigma, balance = balances(tree)
    except SectionUnavailable:
        return {}
    median = np.median(balance, 0)
    return {
        "periods": periods,
        "balance_observed": measured.tolist(),
        "balance_sigma": sigma.tolist(),
        "balance_modelled": median.tolist(),
        "balance_difference_in_sigma": ((median - measured) / sigma).tolist(),
    }


def speeds(draws: xr.DataTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed (block), modelled (draw, block) and predicted with noise (draw, block) speed, m per year.

    Raises:
        SectionUnavailable: the draws hold no velocity.
    """
    if "velocity" not in group(draws, "observed_data"):
        raise SectionUnavailable("No surface velocity was used, so that there is no speed to compare.")
    order = ("component", "block")
    observed = group(draws, "observed_data")["velocity"].transpose(*order).values
    predictive = group(draws, "posterior_predictive")
    modelled = _stacked(predictive["modelled_velocity"], order)
    noisy = _stacked(predictive["velocity"], order)
    return np.hypot(*observed), np.hypot(modelled[:, 0], modelled[:, 1]), np.hypot(noisy[:, 0], noisy[:, 1])


def balances(draws: xr.DataTree) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Periods, observed balance and its published sigma (period), modelled balance (draw, period), m w.e. per year.

    Raises:
        SectionUnavailable: the draws hold no geodetic balance.
    """
    if "geodetic_balance" not in group(draws, "observed_data"):
        raise SectionUnavailable("No geodetic mass balance was used, so that there is no mass change to compare.")
    observed = group(draws, "observed_data")["geodetic_balance"]
    predictive = group(draws, "posterior_predictive")
    modelled = _stacked(predictive["modelled_balance"], ("period",))
    periods = [str(label) for label in observed["period"].values] if "period" in observed.coords else []
    periods = periods or [f"period {k + 1}" for k in range(observed.size)]
    if "geodetic_balance_sigma" in group(draws, "constant_data"):
        sigma = group(draws, "constant_data")["geodetic_balance_sigma"].values
    else:
        # the likelihood's noise, with the share of the density (a latent in the model) put back
        noise = _stacked(predictive["geodetic_balance"], ("period",)) - modelled
        density = constants.VOLUME_CHANGE_DENSITY_SIGMA / constants.VOLUME_CHANGE_DENSITY * observed.values
        sigma = np.hypot(noise.std(0), density)
    return periods, observed.values, sigma, modelled


def prior_balances(draws: xr.DataTree) -> np.ndarray:
    """Modelled balance before the data, (draw, period), m w.e. per year; failed runs left out, perhaps all."""
    if "modelled_balance" not in group(draws, "prior_predictive"):
        return np.empty((0, group(draws, "observed_data")["geodetic_balance"].size))
    values = _stacked(group(draws, "prior_predictive")["modelled_balance"], ("period",))
    return values[np.isfinite(values).all(1)]


def _stacked(variable: xr.DataArray, dims: tuple[str, ...]) -> np.ndarray:
    values = variable.transpose("chain", "draw", *dims).values
    return values.reshape(-1, *values.shape[2:])
