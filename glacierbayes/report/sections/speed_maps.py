"""Maps of observed and modelled surface speed."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glacierbayes.draws.views import group
from glacierbayes.report.fit import MIN_COUNTED_THICKNESS, fit_statistics, speeds
from glacierbayes.report.registry import SectionUnavailable, register_section
from glacierbayes.report.style import BARE_ICE, logarithmic


def speed_maps(draws: xr.DataTree) -> Figure:
    """Observed and modelled block speed on one colour scale, and modelled minus observed.

    Raises:
        SectionUnavailable: the draws hold no velocity.
    """
    observed, modelled, _ = speeds(draws)
    median = np.median(modelled, 0)
    grid = group(draws, "constant_data")
    directions = {
        "observed": group(draws, "observed_data")["velocity"].transpose("component", "block").values,
        "modelled": group(draws, "posterior_predictive")["modelled_velocity"]
        .median(("chain", "draw"))
        .transpose("component", "block")
        .values,
    }
    both = np.concatenate([observed, median])
    low, high = max(1.0, float(np.quantile(both, 0.02))), max(2.0, float(both.max()))
    speed_scale = LogNorm(low, high)
    residual = median - observed
    largest = max(float(np.quantile(np.abs(residual), 0.98)), 1e-6)
    rows, columns = _window(grid)
    aspect = np.ptp(grid["y"].values[rows]) / max(np.ptp(grid["x"].values[columns]), 1.0)
    # maps of long valley glaciers are tall, of plateau glaciers wide; the colour bars go below
    width = float(np.clip(3.6 / aspect, 2.2, 3.4))
    figure = Figure(figsize=(3 * width + 0.9, float(np.clip(width * aspect, 2.0, 6.0)) + 1.5), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    for axis, title, values, arrows in (
        (axes[0], "Observed", observed, directions["observed"]),
        (axes[1], "Modelled (posterior median)", median, directions["modelled"]),
    ):
        image = _map(axis, grid, values, speed_scale, "viridis")
        _arrows(axis, grid, arrows)
        axis.set_title(title)
    difference = _map(axes[2], grid, residual, Normalize(-largest, largest), "RdBu_r")
    axes[2].set_title("Modelled minus observed")
    axes[0].set_ylabel("y [km]")
    for axis in axes:
        axis.set_xlabel("x [km]")
    bar = figure.colorbar(image, ax=axes[:2], orientation="horizontal", extend="min", shrink=0.7, aspect=35, pad=0.02)
    bar.set_label("surface speed [m yr$^{-1}$]")
    logarithmic(bar.ax, "x", low, high)
    bar = figure.colorbar(difference, ax=axes[2], orientation="horizontal", extend="both", shrink=0.9, pad=0.02)
    bar.set_label("difference [m yr$^{-1}$]")
    statistics = fit_statistics(draws)
    summary = f"modelled over observed is {statistics['median_ratio']:.2f} in the median block"
    if statistics["blocks"] == 0:
        summary = f"no block has more than {MIN_COUNTED_THICKNESS:g} m of ice"
    figure.suptitle(f"Surface speed: {summary}", x=0.01, ha="left")
    return figure


def _window(grid: xr.Dataset) -> tuple[slice, slice]:
    """Rows and columns that hold the outline, with a rim of two cells."""
    used = grid["mask"].values.astype(bool)
    if not used.any():
        return slice(None), slice(None)
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    return (
        slice(max(int(rows[0]) - 2, 0), int(rows[-1]) + 3),
        slice(max(int(columns[0]) - 2, 0), int(columns[-1]) + 3),
    )


def _map(axis: Axes, grid: xr.Dataset, values: np.ndarray, norm: Normalize, colours: str):
    if "velocity_block" not in grid:
        raise SectionUnavailable(
            "The draws do not hold the velocity block of each cell, so that there is no map of speed."
        )
    part = grid.isel(dict(zip(("y", "x"), _window(grid), strict=True)))
    x, y = part["x"].values / 1000, part["y"].values / 1000
    block = part["velocity_block"].transpose("y", "x").values.astype(int)
    mask = part["mask"].transpose("y", "x").values.astype(float)
    ice = np.ma.masked_where(part["thickness"].transpose("y", "x").values <= 0, np.ones(block.shape))
    axis.pcolormesh(x, y, ice, cmap=ListedColormap([BARE_ICE]), rasterized=True)
    image = axis.pcolormesh(
        x, y, np.ma.masked_where(block < 0, values[np.maximum(block, 0)]), norm=norm, cmap=colours, rasterized=True
    )
    if 0 < mask.mean() < 1:
        _outline(axis, x, y, mask)
    axis.set_aspect("equal")
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axis.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    return image


def _outline(axis: Axes, x: np.ndarray, y: np.ndarray, mask: np.ndarray) -> None:
    """The outline along the edges of its cells: a contour through cell centres would cut the corners."""
    fine = 8
    x, y = (
        np.concatenate([c + np.arange(0.5, fine) / fine * d - d / 2 for c in a])
        for a, d in ((x, x[1] - x[0]), (y, y[1] - y[0]))
    )
    axis.contour(x, y, np.kron(mask, np.ones((fine, fine))), levels=[0.5], colors="0.15", linewidths=0.8)


def _arrows(axis: Axes, grid: xr.Dataset, velocity: np.ndarray) -> None:
    """Directions alone: the colour says how fast."""
    speed = np.maximum(np.hypot(*velocity), 1e-9)
    axis.quiver(
        grid["velocity_block_x"].values / 1000,
        grid["velocity_block_y"].values / 1000,
        *(velocity / speed),
        color="white",
        edgecolor="0.2",
        linewidth=0.3,
        pivot="mid",
        scale=1.0 / (0.7 * _spacing(grid)),
        scale_units="xy",
        angles="xy",
        width=0.006,
    )


def _spacing(grid: xr.Dataset) -> float:
    """Side of a block, km, from the number of cells in the fullest one."""
    block = grid["velocity_block"].values.astype(int)
    cells = np.bincount(block[block >= 0]).max()
    return float(np.sqrt(cells) * abs(np.diff(grid["x"].values[:2])[0]) / 1000)


register_section(
    "speed_maps",
    "Surface speed",
    "Block means on the glacier's outline, on one colour scale; arrows show the direction alone. Grey ice is in no "
    "block. Right: red where the model is too fast.",
    speed_maps,
    by_glacier=True,
    observed=("velocity",),
)
