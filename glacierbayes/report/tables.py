"""Posterior scalars as a table: medians, intervals, contraction and diagnostics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes.draws.check import Check, check
from glacierbayes.report.parameters import QUANTILES, Parameter, is_row_of, parameters


def parameter_table(
    draws: xr.DataTree, chosen: list[Parameter] | None = None, trust: Check | None = None
) -> pd.DataFrame:
    """One row a posterior scalar, unrounded, in the units of column `units`.

    Columns: long_name, units, derived, median, ci90_lower, ci90_upper (equal-tailed 90 %), prior_median,
    prior_ci90_lower, prior_ci90_upper, scale, contraction (1 - sd_posterior / sd_prior on that scale), learnt, r_hat,
    ess_bulk, ess_tail.
    """
    chosen = parameters(draws) if chosen is None else chosen
    trust = check(draws) if trust is None else trust
    rows = []
    for one in chosen:
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
    judged = trust.table.loc[[row for row in trust.table.index if is_row_of(str(row), chosen)]]
    return table.assign(**{name: judged[name].to_numpy() for name in ("r_hat", "ess_bulk", "ess_tail")})


def _summary(values: np.ndarray) -> np.ndarray:
    if not values.size:
        return np.full(3, np.nan)
    return np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1]))
