"""The style of all figures: fonts, colours that are distinct to the colour-blind, and logarithmic axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

# Okabe and Ito 2008
POSTERIOR, PRIOR, OBSERVED = "#0072B2", "#8C8C8C", "#D55E00"
CHAINS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
BARE_ICE = "#E3E8EC"

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 170,
    "savefig.facecolor": "white",
}


def logarithmic(axis_of: Axes, which: str, low: float, high: float) -> None:
    """A log axis from `low` to `high` whose labels stay readable over less than a decade and a half."""
    axis = axis_of.xaxis if which == "x" else axis_of.yaxis
    if which == "x":
        axis_of.set_xscale("log")
        axis_of.set_xlim(low, high)
    else:
        axis_of.set_yscale("log")
        axis_of.set_ylim(low, high)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    # the coarsest of these that puts at least three labels on the axis
    for ticks in (*(np.outer(powers, digits).ravel() for digits in ((1,), (1, 3), (1, 2, 5))), _even(low, high)):
        ticks = ticks[(low <= ticks) & (ticks <= high)]
        if ticks.size >= 3:
            break
    axis.set_major_locator(FixedLocator(ticks.tolist()))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _label(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _even(low: float, high: float) -> np.ndarray:
    return np.asarray(MaxNLocator(4).tick_values(low, high))


def _label(value: float) -> str:
    """Plain digits where a reader would write them: 10000 and not 1e+04."""
    return f"{value:.0f}" if 1e3 <= value < 1e6 else f"{value:.4g}"
