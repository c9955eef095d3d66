"""Unknown functions of the model: their posterior as curves or maps, against their prior."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure, SubFigure

from glacierbayes.draws.views import group, variables
from glacierbayes.report.functions import contraction, stacked, unknown
from glacierbayes.report.parameters import units_text
from glacierbayes.report.registry import SectionUnavailable, register_section
from glacierbayes.report.style import POSTERIOR, PRIOR, logarithmic

BANDS = ((0.05, 0.95, 0.25), (0.25, 0.75, 0.35))  # quantiles, and how strong they are drawn


def unknown_functions(draws: xr.DataTree) -> Figure:
    """Every unknown function: against one input with its bands, against two as maps of median and width.

    Raises:
        SectionUnavailable: the draws hold no function, or no prior of it.
    """
    names = unknown(draws)
    if not names:
        raise SectionUnavailable("The model has no unknown function.")
    if not set(names) <= set(variables(draws, "prior")):
        raise SectionUnavailable("The draws hold no prior, so that a function cannot be compared with it.")
    pairs = [(stacked(draws, name), stacked(draws, name, "prior")) for name in names]
    heights = [4.6 if after.ndim == 2 else 3.6 for after, _ in pairs]
    figure = Figure(figsize=(8.8, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(names), 1, squeeze=False, height_ratios=heights)[:, 0]
    ice = _ice(group(draws, "constant_data"))
    for part, (after, before) in zip(parts, pairs, strict=True):
        name = re.sub("^log(arithm)? of (the )?", "", str(after.attrs.get("long_name", after.name)))  # drawn is exp
        part.suptitle(name[:1].upper() + name[1:], x=0.01, ha="left")
        (_curve if after.ndim == 2 else _maps)(part, after, before, ice)
    return figure


def _label(axis: xr.DataArray) -> str:
    return str(axis.attrs.get("long_name", axis.name)) + units_text(str(axis.attrs.get("units", "")))


def _curve(part: SubFigure, after: xr.DataArray, before: xr.DataArray, ice: dict[str, np.ndarray]) -> None:
    axis, below = part.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    at = after[after.dims[0]]
    low, high = np.exp(np.quantile(before.values, BANDS[0][:2], -1))
    axis.fill_between(at, low, high, color=PRIOR, alpha=0.25, lw=0, label="prior, 90 %")
    for lower, upper, strength in BANDS:
        low, high = np.exp(np.quantile(after.values, (lower, upper), -1))
        label = f"after the data, {100 * (upper - lower):.0f} %"
        axis.fill_between(at, low, high, color=POSTERIOR, alpha=strength, lw=0, label=label)
    axis.plot(at, np.exp(np.median(after.values, -1)), color=POSTERIOR, lw=1.5, label="median")
    axis.axhline(1.0, color="0.3", lw=0.7, ls="--", zorder=0)
    ends = [np.exp(np.quantile(both.values, BANDS[0][:2], -1)) for both in (before, after)]
    logarithmic(axis, "y", float(np.min(ends)) / 1.1, float(np.max(ends)) * 1.1)
    axis.margins(x=0)
    axis.set(ylabel="factor")
    axis.legend()
    below.plot(at, contraction(after, before), color=POSTERIOR, lw=1.5)
    below.axhline(0.0, color="0.3", lw=0.7, ls="--", zorder=0)
    below.set(xlabel=_label(at), ylabel="contraction", ylim=(-0.15, 1.0))
    _coverage(below, at, ice)


def _coverage(axis: Axes, at: xr.DataArray, ice: dict[str, np.ndarray]) -> None:
    """Where along an input there are data: ticks of glaciers, or how many cells of the ice."""
    name = str(at.attrs.get("long_name", ""))
    if "data_at" in at.attrs:
        places = np.atleast_1d(at.attrs["data_at"])
        foot = axis.get_xaxis_transform()
        axis.plot(places, np.full(places.size, 0.1), "|", color="black", ms=9, transform=foot, label="glaciers")
        axis.legend()
    elif name in ice:
        counts, edges = np.histogram(ice[name], bins=40, range=(float(at[0]), float(at[-1])))
        axis.stairs(counts / counts.max(), edges, color="0.8", fill=True, zorder=0, label="cells of the ice")
        axis.legend()


def _maps(part: SubFigure, after: xr.DataArray, before: xr.DataArray, ice: dict[str, np.ndarray]) -> None:
    x, y = (after[dim] for dim in after.dims[:2])
    median = np.exp(np.median(after.values, -1)).T
    narrower = 1 - contraction(after, before).T
    left, right = part.subplots(1, 2, sharex=True, sharey=True)
    most = max(float(np.max(np.abs(np.log(median)))), np.log(1.2))
    shown = (
        (left, median, "PuOr_r", LogNorm(np.exp(-most), np.exp(most)), "factor (median)"),
        (right, narrower, "viridis", None, "posterior sd over prior sd"),
    )
    for axis, values, colours, norm, title in shown:
        limits = {} if norm else {"vmin": 0.0, "vmax": 1.0}
        mesh = axis.pcolormesh(x, y, values, cmap=colours, norm=norm, shading="gouraud", **limits)
        part.colorbar(mesh, ax=axis)
        axis.set(title=title, xlabel=_label(x), ylabel=_label(y))
    inputs = [str(axis.attrs.get("long_name", "")) for axis in (x, y)]
    if set(inputs) <= set(ice):
        for axis in (left, right):
            axis.plot(*(ice[name] for name in inputs), ".", color="black", ms=1.5, alpha=0.5, zorder=3)
            axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def _ice(grid: xr.Dataset) -> dict[str, np.ndarray]:
    """Every field of the grid in cells with ice, a slope if the model kept one; nothing where draws hold no grid."""
    if "thickness" not in grid:
        return {}
    thickness = grid["thickness"].values
    there = thickness > 0
    fields = {str(n).removeprefix("field_"): v.values for n, v in grid.data_vars.items() if v.dims == ("y", "x")}
    return {name: values[there] for name, values in fields.items()}


register_section(
    "unknown_functions",
    "Unknown functions",
    "Where the band is as wide as the prior's, the data are uninformative: a contraction near 0, on maps a ratio near "
    "1. Dots and grey bars are cells of the glacier, ticks are glaciers: where there are none, the prior is all that "
    "is known. A factor of 1 is the law without the function. Unrounded numbers are in functions.csv.",
    unknown_functions,
)
