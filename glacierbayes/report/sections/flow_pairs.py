"""Creep, sliding and thickness against each other."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glacierbayes.report.parameters import parameters, plain_name, units_text
from glacierbayes.report.registry import SectionUnavailable, register_section
from glacierbayes.report.style import POSTERIOR

FLOW = ("creep_parameter", "sliding_parameter", "thickness_scale")  # what the data can hardly tell apart


def flow_pairs(draws: xr.DataTree) -> Figure:
    """Creep, sliding and thickness against each other, with the correlations of their logarithms.

    Raises:
        SectionUnavailable: the draws hold fewer than two of them.
    """
    by_name = {one.name: one for one in parameters(draws) if one.name in FLOW}
    values = {name: by_name[name].posterior.ravel() for name in FLOW if name in by_name}
    if len(values) < 2:
        raise SectionUnavailable(
            "Fewer than two of creep, sliding and thickness scale were inferred, so that there are no pairs."
        )
    usable = np.all([np.isfinite(one) & (one > 0) for one in values.values()], axis=0)
    if usable.sum() < 3:
        raise SectionUnavailable(
            "Creep, sliding and thickness scale are not positive, so that their logarithms cannot be compared."
        )
    names = list(values)
    logs = {name: np.log10(values[name][usable]) for name in names}
    drawn = {name: values[name][usable] if name == "thickness_scale" else logs[name] for name in names}
    labels = {
        name: plain_name(name)
        if name == "thickness_scale"
        else f"log$_{{10}}$ {plain_name(name)}\n{units_text(by_name[name].units).strip()}"
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


register_section(
    "flow_pairs",
    "Creep, sliding and thickness",
    "Fast flow can be soft ice, a slippery bed or thick ice. A correlation near \u00b11 means that the data fix the "
    "combination and not the parts.",
    flow_pairs,
    by_glacier=True,
)
