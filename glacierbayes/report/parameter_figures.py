"""Figures of the parameters: traces and ranks, prior against posterior, correlations."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glacierbayes.draws.check import group
from glacierbayes.report.parameters import LeftOut, Parameter, parameters, plain_name, shown, units_text
from glacierbayes.report.style import CHAINS, POSTERIOR, PRIOR, logarithmic

FLOW = ("creep_parameter", "sliding_parameter", "thickness_scale")  # what the data can hardly tell apart
RANK_BINS = 20


def trace_and_rank(draws: xr.DataTree) -> Figure:
    """Traces of the sampled parameters, and how often each chain holds each rank.

    Raises:
        LeftOut: the draws hold no sampled scalar.
    """
    from scipy.stats import rankdata

    chosen = _sampled(draws)
    stats, diverging = group(draws, "sample_stats"), None
    if "diverging" in stats:
        diverging = stats["diverging"].transpose("chain", "draw").values.astype(bool)
    figure = Figure(figsize=(8.8, 1.25 * len(chosen) + 0.9), layout="constrained")
    axes = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(2.2, 1), sharex="col")
    chains, count = chosen[0].posterior.shape
    bins = max(2, min(RANK_BINS, count // 5))
    for (trace, rank), one in zip(axes, chosen, strict=True):
        ranks = rankdata(one.posterior).reshape(one.posterior.shape) / one.posterior.size
        edges = np.linspace(0, 1, bins + 1)
        for chain in range(chains):
            colour = CHAINS[chain % len(CHAINS)]
            trace.plot(one.posterior[chain], color=colour, lw=0.45, alpha=0.8)
            height = np.histogram(ranks[chain], edges)[0] * bins / count
            rank.stairs(height, edges, baseline=None, color=colour, lw=1.1, label=f"chain {chain}")
        if diverging is not None and diverging.any():
            at = np.flatnonzero(diverging.any(0))
            trace.plot(at, np.full(at.size, 0.02), "|", color="black", ms=6, transform=trace.get_xaxis_transform())
        rank.axhline(1.0, color="0.3", lw=0.7, ls="--", zorder=0)
        rank.set_ylim(0, max(2.0, rank.get_ylim()[1]))
        if one.scale == "log" and one.posterior.min() > 0:
            values = one.posterior
            logarithmic(trace, "y", values.min() / 1.02, values.max() * 1.02)
        trace.set_title(plain_name(one.name) + units_text(one.units), pad=3)
        trace.margins(x=0)
        rank.margins(x=0)
    axes[-1, 0].set_xlabel(
        "draw" + (" (ticks at the foot: divergences)" if diverging is not None and diverging.any() else "")
    )
    axes[-1, 1].set_xlabel("rank among all draws (0 lowest)")
    axes[0, 1].set_title("draws per rank / expected", pad=3)
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles[:8], labels[:8], loc="outside upper right", ncols=min(chains, 8))
    figure.suptitle("Traces should look alike, ranks be flat", x=0.01, ha="left")
    return figure


def prior_and_posterior(draws: xr.DataTree) -> Figure:
    """Prior and posterior density of the sampled parameters, with the contraction.

    Raises:
        LeftOut: the draws hold no prior, or no sampled scalar.
    """
    chosen = [one for one in _sampled(draws) if one.prior.size > 2]
    if not chosen:
        raise LeftOut("The draws hold no prior, so that prior and posterior cannot be compared.")
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
    figure.suptitle("What the data taught", x=0.01, ha="left")
    return figure


def flow_pairs(draws: xr.DataTree) -> Figure:
    """Creep, sliding and thickness against each other, with the correlations of their logarithms.

    Raises:
        LeftOut: the draws hold fewer than two of them.
    """
    found = {one.name: one for one in parameters(draws) if one.name in FLOW}
    values = {name: found[name].posterior.ravel() for name in FLOW if name in found}
    if len(values) < 2:
        raise LeftOut("Fewer than two of creep, sliding and thickness scale were inferred, so that there are no pairs.")
    usable = np.all([np.isfinite(one) & (one > 0) for one in values.values()], axis=0)
    if usable.sum() < 3:
        raise LeftOut(
            "Creep, sliding and thickness scale are not positive, so that their logarithms cannot be compared."
        )
    names = list(values)
    logs = {name: np.log10(values[name][usable]) for name in names}
    drawn = {name: values[name][usable] if name == "thickness_scale" else logs[name] for name in names}
    labels = {
        name: plain_name(name)
        if name == "thickness_scale"
        else f"log$_{{10}}$ {plain_name(name)}\n{units_text(found[name].units).strip()}"
        for name in names
    }
    correlations = np.corrcoef([logs[name] for name in names])
    size = len(names)
    figure = Figure(figsize=(2.15 * size + 0.6, 2.05 * size + 0.6), layout="constrained")
    axes = figure.subplots(size, size, squeeze=False, sharex="col")
    thinned = slice(None, None, max(1, int(usable.sum()) // 3000))
    for row, across in enumerate(names):
        for column, along in enumerate(names):
            axis = axes[row, column]
            if column > row:
                _correlation(axis, float(correlations[row, column]))
            elif column == row:
                axis.hist(drawn[along], bins=40, color=POSTERIOR, alpha=0.75)
                axis.set_yticks([])
                axis.spines["left"].set_visible(False)
            else:
                axis.plot(
                    drawn[along][thinned],
                    drawn[across][thinned],
                    ".",
                    color=POSTERIOR,
                    ms=2.5,
                    alpha=0.35,
                    mew=0,
                    rasterized=True,
                )
            axis.locator_params(axis="x", nbins=4)
            if row == size - 1:
                axis.set_xlabel(labels[along])
            if column == 0 and row > 0:
                axis.set_ylabel(labels[across])
            elif column < row:
                axis.tick_params(labelleft=False)
    figure.align_labels()
    above = np.triu(np.abs(correlations), 1)
    first, second = (int(k) for k in np.unravel_index(above.argmax(), above.shape))
    figure.suptitle(
        f"Strongest correlation:\n{plain_name(names[first])} and {plain_name(names[second])}, "
        f"{_signed(correlations[first, second])}",
        x=0.01,
        ha="left",
    )
    return figure


def _sampled(draws: xr.DataTree) -> list[Parameter]:
    chosen = shown(parameters(draws))
    if not chosen:
        raise LeftOut("The posterior holds no sampled scalar, so that there is nothing to draw.")
    if not all(np.isfinite(one.posterior).all() for one in chosen):
        raise LeftOut(
            "The posterior holds values that are not finite numbers, so that its distributions cannot be drawn."
        )
    return chosen


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


def _correlation(axis: Axes, value: float) -> None:
    axis.set_axis_off()
    axis.text(
        0.5,
        0.5,
        _signed(value),
        transform=axis.transAxes,
        ha="center",
        va="center",
        fontsize=9 + 9 * abs(value),
        color="0.2",
    )
    axis.text(
        0.5, 0.3, "correlation of logs", transform=axis.transAxes, ha="center", va="center", fontsize=7, color="0.4"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
