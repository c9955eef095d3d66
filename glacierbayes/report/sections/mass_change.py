"""Modelled geodetic balance against its observation."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glacierbayes.report.fit import balances, prior_balances
from glacierbayes.report.registry import register_section
from glacierbayes.report.style import OBSERVED, POSTERIOR, PRIOR


def mass_change(draws: xr.DataTree) -> Figure:
    """Modelled geodetic balance, posterior and prior, against its observation; one row a period.

    Raises:
        SectionUnavailable: the draws hold no geodetic balance.
    """
    periods, observed, sigma, modelled = balances(draws)
    before = prior_balances(draws)
    figure = Figure(figsize=(6.6, 1.6 + 1.1 * len(periods)), layout="constrained")
    axis = figure.subplots()
    shown = [observed - 4 * sigma, observed + 4 * sigma, *np.quantile(modelled, (0.001, 0.999), axis=0)]
    low, high = float(np.min(shown)), float(np.max(shown))
    if before.size:
        # the prior is often far wider: shown to its 98 % interval, but never so that the rest becomes a line
        edges, most = np.quantile(before, (0.01, 0.99), axis=0), 2 * (high - low)
        low, high = max(min(low, edges.min()), low - most), min(max(high, edges.max()), high + most)
    points = np.linspace(low, high, 400)
    for row, _ in enumerate(periods):
        base = len(periods) - 1 - row
        if before.shape[0] > 2:
            _ridge(axis, points, before[:, row], base, PRIOR, "model before the data (prior)" if row == 0 else "")
        _ridge(axis, points, modelled[:, row], base, POSTERIOR, "model after the data (posterior)" if row == 0 else "")
        axis.errorbar(
            observed[row],
            base - 0.12,
            xerr=sigma[row],
            fmt="o",
            color=OBSERVED,
            ms=5,
            capsize=3,
            label="observed, ± 1 sigma" if row == 0 else None,
        )
    axis.set_yticks(range(len(periods)), periods[::-1])
    axis.set_ylim(-0.3, len(periods) - 0.05)
    axis.set_xlim(low, high)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("mass balance [m w.e. yr$^{-1}$]")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    difference = (np.median(modelled, 0) - observed) / sigma
    distance = f"at most {np.abs(difference).max():.1f} sigma from the observations"
    if len(periods) == 1:
        distance = f"{abs(difference[0]):.1f} sigma {'above' if difference[0] > 0 else 'below'} the observation"
    figure.suptitle(f"Mass change: the model is {distance}", x=0.01, ha="left")
    return figure


def _ridge(axis: Axes, points: np.ndarray, values: np.ndarray, base: int, colour: str, label: str) -> None:
    from scipy.stats import gaussian_kde

    if np.ptp(values) == 0:
        axis.vlines(values[0], base, base + 0.8, color=colour, label=label)
        return
    density = gaussian_kde(values)(points)
    top = base + 0.8 * density / density.max()
    axis.fill_between(points, base, top, color=colour, alpha=0.3, lw=0, label=label)
    axis.plot(points, top, color=colour, lw=1.0)


register_section(
    "mass_change",
    "Mass change",
    "Geodetic balance over the outline as the model has it before and after the data (curves scaled to one height), "
    "and the observation with its published standard error.",
    mass_change,
    by_glacier=True,
    observed=("geodetic_balance",),
)
