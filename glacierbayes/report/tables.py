"""The numbers of the report: parameters, and how well the model meets the observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes import constants
from glacierbayes.draws.check import Check, check, group, open_draws
from glacierbayes.report.glaciers import glacier_views
from glacierbayes.report.parameters import QUANTILES, LeftOut, Parameter, belongs, parameters

LEAST_THICKNESS = 50.0  # m; thinner blocks say little about the flow and do not count in the statistics
LEAST_SPEED = 0.1  # m per year, far below what an image shows; has a logarithm


def parameter_table(
    draws: xr.DataTree, found: list[Parameter] | None = None, trust: Check | None = None
) -> pd.DataFrame:
    """One row a posterior scalar, unrounded, in the units of column `units`.

    Columns: long_name, units, derived, median, ci90_lower, ci90_upper (equal-tailed 90 %), prior_median,
    prior_ci90_lower, prior_ci90_upper, scale, contraction (1 - sd_posterior / sd_prior on that scale), learnt, r_hat,
    ess_bulk, ess_tail.
    """
    found = parameters(draws) if found is None else found
    trust = check(draws) if trust is None else trust
    rows = []
    for one in found:
        lower, median, upper = _summary(one.posterior)
        prior_lower, prior_median, prior_upper = _summary(one.prior)
        rows.append(
            {
                "parameter": one.name,
                "long_name": one.long_name,
                "units": one.units,
                "derived": one.derived,
                "median": median,
                "ci90_lower": lower,
                "ci90_upper": upper,
                "prior_median": prior_median,
                "prior_ci90_lower": prior_lower,
                "prior_ci90_upper": prior_upper,
                "scale": one.scale,
                "contraction": one.contraction,
                "learnt": one.learnt,
            }
        )
    table = pd.DataFrame(rows).set_index("parameter")
    # the same order in both; ArviZ names elements by their coordinates, and judges functions too
    judged = trust.table.loc[[row for row in trust.table.index if belongs(str(row), found)]]
    return table.assign(**{name: judged[name].to_numpy() for name in ("r_hat", "ess_bulk", "ess_tail")})


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

    Of several glaciers: all this by the name of the glacier.

    Raises:
        InputError: as `open_draws`.
    """
    views = glacier_views(open_draws(draws))
    found = {name: _speed_statistics(view) | _balance_statistics(view) for name, view in views.items()}
    return found.get("", found)


def _speed_statistics(tree: xr.DataTree) -> dict:
    try:
        observed, modelled, predictive = speeds(tree)
    except LeftOut:
        return {}
    thick = group(tree, "constant_data")["velocity_block_thickness"].values > LEAST_THICKNESS
    observed, median, predictive = observed[thick], np.median(modelled, 0)[thick], predictive[:, thick]
    lower, upper = np.quantile(predictive, QUANTILES, axis=0)
    # ice at rest counts as nearly at rest, so that no block is left out
    seen, made = (np.maximum(values, LEAST_SPEED) for values in (observed, median))
    blocks, none = int(thick.sum()), float("nan")
    return {
        "blocks": blocks,
        "log_correlation": float(np.corrcoef(np.log(seen), np.log(made))[0, 1]) if blocks > 2 else none,
        "median_ratio": float(np.median(made / seen)) if blocks else none,
        "coverage_90": float(np.mean((lower <= observed) & (observed <= upper))) if blocks else none,
    }


def _balance_statistics(tree: xr.DataTree) -> dict:
    try:
        periods, measured, sigma, balance = balances(tree)
    except LeftOut:
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
        LeftOut: the draws hold no velocity.
    """
    if "velocity" not in group(draws, "observed_data"):
        raise LeftOut("No surface velocity was used, so that there is no speed to compare.")
    order = ("component", "block")
    observed = group(draws, "observed_data")["velocity"].transpose(*order).values
    predictive = group(draws, "posterior_predictive")
    modelled = _stacked(predictive["modelled_velocity"], order)
    noisy = _stacked(predictive["velocity"], order)
    return np.hypot(*observed), np.hypot(modelled[:, 0], modelled[:, 1]), np.hypot(noisy[:, 0], noisy[:, 1])


def balances(draws: xr.DataTree) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Periods, observed balance and its published sigma (period), modelled balance (draw, period), m w.e. per year.

    Raises:
        LeftOut: the draws hold no geodetic balance.
    """
    if "geodetic_balance" not in group(draws, "observed_data"):
        raise LeftOut("No geodetic mass balance was used, so that there is no mass change to compare.")
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


def _summary(values: np.ndarray) -> np.ndarray:
    if not values.size:
        return np.full(3, np.nan)
    return np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1]))


def _stacked(variable: xr.DataArray, dims: tuple[str, ...]) -> np.ndarray:
    values = variable.transpose("chain", "draw", *dims).values
    return values.reshape(-1, *values.shape[2:])
