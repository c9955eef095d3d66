"""Traces and ranks of the sampled parameters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from glacierbayes.draws.views import group
from glacierbayes.report.parameters import drawable, plain_name, units_text
from glacierbayes.report.registry import register_section
from glacierbayes.report.style import CHAINS, logarithmic

RANK_BINS = 20


def trace_and_rank(draws: xr.DataTree) -> Figure:
    """Traces of the sampled parameters, and how often each chain holds each rank.

    Raises:
        SectionUnavailable: the draws hold no sampled scalar.
    """
    from scipy.stats import rankdata

    chosen = drawable(draws)
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


register_section(
    "trace_and_rank",
    "Traces and ranks",
    "Chains that found the same posterior look alike, wander fast and hold every rank equally often.",
    trace_and_rank,
)
