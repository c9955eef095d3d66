"""Prior and posterior densities of the sampled parameters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glacierbayes.report.parameters import Parameter, drawable, plain_name, units_text
from glacierbayes.report.registry import SectionUnavailable, register_section
from glacierbayes.report.style import POSTERIOR, PRIOR, logarithmic


def prior_and_posterior(draws: xr.DataTree) -> Figure:
    """Prior and posterior density of the sampled parameters, with the contraction.

    Raises:
        SectionUnavailable: the draws hold no prior, or no sampled scalar.
    """
    chosen = [one for one in drawable(draws) if one.prior.size > 2]
    if not chosen:
        raise SectionUnavailable("The draws hold no prior, so that prior and posterior cannot be compared.")
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.95 * columns, 2.0 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, one in zip(axes, chosen, strict=False):
        _densities(axis, one)
    for axis in axes[len(chosen) :]:
        axis.remove()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    figure.suptitle("Prior and posterior of the sampled parameters", x=0.01, ha="left")
    return figure


def _densities(axis: Axes, one: Parameter) -> None:
    """Densities on the scale that was sampled, on an axis in the parameter's own unit."""
    from scipy.stats import gaussian_kde

    prior, posterior = one.transform(one.prior), one.transform(one.posterior.ravel())
    low, high = np.quantile(prior, (0.005, 0.995))
    low, high = min(low, posterior.min()), max(high, posterior.max())
    if one.scale == "logit":
        low, high = low - 2.0, high + 2.0  # the axis ends at 0 and 1, not at the draws
    points = np.linspace(low, high, 300)
    at, slope = points, np.ones(points.shape)
    if one.scale == "log":
        at = np.exp(points)
    elif one.scale == "logit":
        at = 1 / (1 + np.exp(-points))
        slope = 1 / (at * (1 - at))
    for values, colour, label in ((prior, PRIOR, "prior"), (posterior, POSTERIOR, "posterior")):
        if np.ptp(values) > 0:
            density = gaussian_kde(values)(points) * slope
            axis.fill_between(at, density, color=colour, alpha=0.3, lw=0, label=label)
            axis.plot(at, density, color=colour, lw=1.0)
    if one.scale == "log":
        logarithmic(axis, "x", float(at[0]), float(at[-1]))
    elif one.scale == "logit":
        axis.set_xlim(0, 1)
    axis.set_ylim(0)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(plain_name(one.name) + units_text(one.units))
    axis.set_title(f"contraction {one.contraction:.2f}: {one.learnt}", fontsize=8, pad=3)


register_section(
    "prior_and_posterior",
    "Prior and posterior",
    "Contraction is 1 \u2212 sd(posterior) / sd(prior) on the scale that was sampled: 1 means that the data fix the "
    "parameter, 0 that they are uninformative about it.",
    prior_and_posterior,
)
