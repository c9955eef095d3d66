"""Observed against modelled surface speed, block by block."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from glacierbayes.draws.views import group
from glacierbayes.report.fit import MIN_COUNTED_THICKNESS, fit_statistics, speeds
from glacierbayes.report.parameters import QUANTILES
from glacierbayes.report.registry import register_section
from glacierbayes.report.style import OBSERVED, POSTERIOR, PRIOR, logarithmic


def speed_scatter(draws: xr.DataTree) -> Figure:
    """Observed against modelled block speed, with 90 % predictive intervals.

    Raises:
        SectionUnavailable: the draws hold no velocity.
    """
    observed, modelled, predictive = speeds(draws)
    median = np.median(modelled, 0)
    lower, upper = np.quantile(predictive, QUANTILES, axis=0)
    thick = group(draws, "constant_data")["velocity_block_thickness"].values > MIN_COUNTED_THICKNESS
    inside = (lower <= observed) & (observed <= upper)
    floor = max(0.5, 0.7 * float(np.quantile(np.concatenate([observed, median]), 0.01)))
    most = max(observed.max(), median.max())
    ceiling = 1.4 * float(max(most, min(upper.max(), 10 * most), 2 * floor))  # an interval may run out of the figure
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([floor, ceiling], [floor, ceiling], color="0.4", lw=0.8, zorder=0)
    axis.text(ceiling / 1.1, ceiling / 1.5, "1:1", color="0.4", fontsize=8, ha="right")
    for chosen, colour, label in (
        (thick & inside, POSTERIOR, "observation inside the interval"),
        (thick & ~inside, OBSERVED, "observation outside"),
        (~thick, PRIOR, f"ice thinner than {MIN_COUNTED_THICKNESS:g} m, not counted"),
    ):
        if not chosen.any():
            continue
        low = np.maximum(lower[chosen], floor / 2)
        axis.vlines(observed[chosen], low, upper[chosen], color=colour, lw=0.8, alpha=0.35)
        axis.scatter(observed[chosen], median[chosen], s=14, color=colour, lw=0, label=f"{label} ({chosen.sum()})")
    logarithmic(axis, "x", floor, ceiling)
    logarithmic(axis, "y", floor, ceiling)
    axis.set_aspect("equal")
    axis.set_xlabel("observed speed [m yr$^{-1}$]")
    axis.set_ylabel("modelled speed [m yr$^{-1}$]")
    axis.legend(loc="upper left", title="posterior median and 90 % predictive interval", title_fontsize=8)
    statistics = fit_statistics(draws)
    title = (
        f"Log correlation {statistics['log_correlation']:.2f}, median ratio {statistics['median_ratio']:.2f}, "
        f"intervals hold {100 * statistics['coverage_90']:.0f} % of blocks"
    )
    if np.isnan(statistics["log_correlation"]):
        title = (
            f"Blocks with more than {MIN_COUNTED_THICKNESS:g} m of ice: {statistics['blocks']}, too few for statistics"
        )
    axis.set_title(title)
    return figure


register_section(
    "speed_scatter",
    "Speed, block by block",
    "Points are posterior medians; bars hold 90 % of what the model, with its errors, expects the satellite to see. "
    "About nine of ten bars should cross the line.",
    speed_scatter,
    by_glacier=True,
    observed=("velocity",),
)
