"""Figures of laws that are functions: the curve or the surface after the data, over what the prior held."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure, SubFigure

from glacierbayes.inference.diagnostics import group
from glacierbayes.report.parameters import LeftOut, units_text
from glacierbayes.report.style import POSTERIOR, PRIOR, logarithmic

BANDS = ((0.05, 0.95, 0.25), (0.25, 0.75, 0.35))  # quantiles, and how strong they are drawn


def unknown_functions(draws: xr.DataTree) -> Figure:
    """Every unknown function: against one input with its bands, against two as maps of median and width.

    Raises:
        LeftOut: the draws hold no function, or no prior of it.
    """
    posterior, prior = group(draws, "posterior"), group(draws, "prior")
    names = [name for name, values in posterior.data_vars.items() if values.attrs.get("function", 0)]
    if not names:
        raise LeftOut("The model has no unknown function.")
    if not set(names) <= set(prior.data_vars):
        raise LeftOut("The draws hold no prior, so that nothing says what the data added to a function.")
    figure = Figure(figsize=(8.8, 3.6 * len(names)), layout="constrained")
    for part, name in zip(figure.subfigures(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        after = posterior[name].stack(sample=("chain", "draw")).transpose(..., "sample")
        before = prior[name].stack(sample=("chain", "draw")).transpose(..., "sample")
        part.suptitle(str(after.attrs.get("long_name", name)), x=0.01, ha="left")
        if after.ndim == 2:
            _curve(part.subplots(), after, before)
        else:
            _maps(part, after, before, group(draws, "constant_data"))
    return figure


def _label(axis: xr.DataArray) -> str:
    return str(axis.attrs.get("long_name", axis.name)) + units_text(str(axis.attrs.get("units", "")))


def _curve(axis: Axes, after: xr.DataArray, before: xr.DataArray) -> None:
    at = after[after.dims[0]]
    low, high = np.exp(np.nanquantile(before.values, BANDS[0][:2], -1))
    axis.fill_between(at, low, high, color=PRIOR, alpha=0.25, lw=0, label="prior, 90 %")
    for lower, upper, strength in BANDS:
        low, high = np.exp(np.quantile(after.values, (lower, upper), -1))
        label = f"after the data, {100 * (upper - lower):.0f} %"
        axis.fill_between(at, low, high, color=POSTERIOR, alpha=strength, lw=0, label=label)
    axis.plot(at, np.exp(np.median(after.values, -1)), color=POSTERIOR, lw=1.5, label="median")
    axis.axhline(1.0, color="0.3", lw=0.7, ls="--", zorder=0)
    values = np.exp(np.nanquantile(before.values, BANDS[0][:2]))
    logarithmic(axis, "y", values[0] / 1.2, values[1] * 1.2)
    if "data_at" in at.attrs:
        places = np.atleast_1d(at.attrs["data_at"])
        foot = axis.get_xaxis_transform()
        axis.plot(places, np.full(places.size, 0.03), "|", color="black", ms=9, transform=foot, label="glaciers")
    axis.margins(x=0)
    axis.set(xlabel=_label(at), ylabel="factor")
    axis.legend()


def _maps(part: SubFigure, after: xr.DataArray, before: xr.DataArray, grid: xr.Dataset) -> None:
    x, y = (after[dim] for dim in after.dims[:2])
    median = np.exp(np.median(after.values, -1)).T
    narrower = (after.values.std(-1) / np.nanstd(before.values, -1)).T
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
    ice = _ice(grid)
    if ice is not None:
        for axis in (left, right):
            axis.plot(*ice, ".", color="black", ms=1.5, alpha=0.5, zorder=3)
            axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def _ice(grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Thickness and slope of every cell with ice: where the glacier is."""
    if not {"thickness", "bed"} <= set(grid.data_vars):
        return None
    thickness = grid["thickness"].values
    surface = grid["bed"].values + thickness
    dy, dx = np.gradient(surface, grid["y"].values, grid["x"].values)
    there = thickness > 0
    return thickness[there], np.hypot(dx, dy)[there]
