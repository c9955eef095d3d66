"""Unknown functions in numbers: posterior and prior at every place of their grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glacierbayes.draws.check import Check, check
from glacierbayes.draws.views import variables
from glacierbayes.report.parameters import QUANTILES


def unknown(draws: xr.DataTree) -> list[str]:
    """Names of the unknown functions in the posterior."""
    return [name for name, v in variables(draws, "posterior").items() if v.attrs.get("function", 0)]


def stacked(draws: xr.DataTree, name: str, of: str = "posterior") -> xr.DataArray:
    """A function's values with its inputs in front and the dimension "sample" behind; failed draws left out."""
    values = variables(draws, of)[name].stack(sample=("chain", "draw")).transpose(..., "sample")
    return values[..., np.isfinite(values.values).reshape(-1, values.shape[-1]).all(0)]


def contraction(after: xr.DataArray, before: xr.DataArray) -> np.ndarray:
    """1 - sd_posterior / sd_prior at every place of a function."""
    return 1 - after.values.std(-1) / before.values.std(-1)


def function_table(draws: xr.DataTree, trust: Check | None = None) -> pd.DataFrame:
    """One row a place of every unknown function, unrounded; empty where there is none.

    Columns: function, one for every input in its unit (NaN where a function has no such input), median, ci90_lower,
    ci90_upper (equal-tailed 90 %), and where the draws hold a prior prior_median, prior_ci90_lower, prior_ci90_upper,
    contraction (1 - sd_posterior / sd_prior); r_hat, ess_bulk, ess_tail. Values are as the model has them: of the
    shipped ones logarithms of a factor.
    """
    trust = check(draws) if trust is None else trust
    parts = []
    for name in unknown(draws):
        after = stacked(draws, name)
        axes = [after[dim] for dim in after.dims[:-1]]
        mesh = np.meshgrid(*(axis.values for axis in axes), indexing="ij")
        rows = {"function": np.full(mesh[0].size, name, object)}
        rows |= {str(a.attrs.get("long_name", a.name)): m.ravel() for a, m in zip(axes, mesh, strict=True)}
        rows |= _columns(after, "")
        if name in variables(draws, "prior"):
            before = stacked(draws, name, "prior")
            rows |= _columns(before, "prior_") | {"contraction": contraction(after, before).ravel()}
        judged = trust.table[trust.table.index.str.startswith(f"{name}[")]
        rows |= {column: np.asarray(judged[column]) for column in ("r_hat", "ess_bulk", "ess_tail")}
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _columns(values: xr.DataArray, prefix: str) -> dict[str, np.ndarray]:
    names = ("ci90_lower", "median", "ci90_upper")
    quantiles = np.quantile(values.values, (QUANTILES[0], 0.5, QUANTILES[1]), -1)
    return {prefix + name: one.ravel() for name, one in zip(names, quantiles, strict=True)}
