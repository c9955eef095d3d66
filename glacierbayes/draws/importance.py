"""Distance of the draws of an approximation from the posterior, by their importance weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

EQUAL = 1e-9  # range of the logarithm of weights that differ by round-off alone


class Distance(NamedTuple):
    """Distance of an approximation from the posterior.

    Attributes:
        k_hat: shape of the Pareto distribution that the largest weights follow (Vehtari et al. 2024, arXiv 1507.02646).
        shift: largest change of a mean by the weights, in standard deviations of the draws.
        spread: largest change of a standard deviation by the weights, as a factor above 1.
        name: the parameter with the largest of both.
    """

    k_hat: float
    shift: float
    spread: float
    name: str


def distance(posterior: Mapping[str, xr.DataArray], log_weight: xr.DataArray) -> Distance:
    """Distance of draws from the posterior, by what their smoothed importance weights change.

    Args:
        posterior: draws (chain, draw, ...) of the parameters that are compared, by name.
        log_weight: (chain, draw) logarithm of the importance weights, up to a constant.
    """
    import arviz  # noqa: F401 (gives arrays `azstats`)

    # made for leave-one-out: it takes minus the logarithm of the weights
    smoothed, k_hat = (-log_weight).azstats.psislw(dim=["chain", "draw"])
    weight = np.exp(smoothed.values - np.max(smoothed.values)).ravel()
    weight = weight / weight.sum()
    corrections = []
    for name, variable in posterior.items():
        values = variable.transpose("chain", "draw", ...).values.reshape(weight.size, -1)
        mean, sd = values.mean(0), np.maximum(values.std(0), 1e-300)
        better = weight @ values
        spread = np.sqrt(weight @ (values - better) ** 2) / sd
        factor = np.max(np.maximum(spread, 1 / np.maximum(spread, 1e-300)))
        corrections.append((float(np.max(np.abs(better - mean) / sd)), float(factor), name))
    shift, spread = max(one[0] for one in corrections), max(one[1] for one in corrections)
    worst = max(corrections, key=lambda one: max(one[0], np.log(one[1])))[2]
    # weights that are all equal have no tail to fit
    equal = float(np.ptp(log_weight.values)) < EQUAL
    return Distance(0.0 if equal else float(k_hat), shift, spread, worst)
