"""Summary statistics of how well predictions meet observed values. This leaf needs NumPy alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glacierbayes.errors import InputError

INTERVAL = (0.05, 0.95)  # quantiles at the ends of every equal-tailed interval of 90 %


def coverage(observed: np.ndarray, modelled: np.ndarray, predictive: np.ndarray) -> float:
    """Share of the observed values that lie in their 90 % predictive interval."""
    lower, upper = np.quantile(predictive, INTERVAL, axis=0)
    return float(np.mean((lower <= observed) & (observed <= upper)))


def median_difference(observed: np.ndarray, modelled: np.ndarray, predictive: np.ndarray) -> float:
    """Median over the data of the posterior median of the prediction minus the observed value, in their unit."""
    return float(np.median(np.median(modelled, 0) - observed))


def median_ratio(observed: np.ndarray, modelled: np.ndarray, predictive: np.ndarray) -> float:
    """Median over the data of the posterior median of the prediction over the observed value."""
    return float(np.median(np.median(modelled, 0) / observed))


def root_mean_square(observed: np.ndarray, modelled: np.ndarray, predictive: np.ndarray) -> float:
    """Root mean square of the posterior median of the prediction minus the observed value, in their unit."""
    return float(np.sqrt(np.mean((np.median(modelled, 0) - observed) ** 2)))


# each takes observed values (datum), predictions without noise (draw, datum) and with noise (draw, datum)
STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "coverage_90": coverage,
    "median_difference": median_difference,
    "median_ratio": median_ratio,
    "root_mean_square": root_mean_square,
}


def check_statistics(names: tuple[str, ...], owner: str) -> None:
    """Raises an InputError that names `owner` where a statistic is not known."""
    unknown = [name for name in names if name not in STATISTICS]
    if unknown:
        raise InputError(f"{owner}: statistic {unknown[0]!r} is not known, expected {', '.join(STATISTICS)}")
