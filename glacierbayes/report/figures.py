"""Figures of model against observation: speed and mass change."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glacierbayes.draws.check import group
from glacierbayes.report.parameters import QUANTILES, LeftOut
from glacierbayes.report.style import BARE_ICE, OBSERVED, POSTERIOR, PRIOR, logarithmic
from glacierbayes.report.tables import LEAST_THICKNESS, balances, fit_statistics, prior_balances, speeds


def speed_maps(draws: xr.DataTree) -> Figure:
    """Observed and modelled block speed on one colour scale, and modelled minus observed.

    Raises:
        LeftOut: the draws hold no velocity.
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
    seen = f"modelled over observed is {statistics['median_ratio']:.2f} in the median block"
    if statistics["blocks"] == 0:
        seen = f"no block has more than {LEAST_THICKNESS:g} m of ice"
    figure.suptitle(f"Surface speed: {seen}", x=0.01, ha="left")
    return figure


def speed_scatter(draws: xr.DataTree) -> Figure:
    """Observed against modelled block speed, with 90 % predictive intervals.

    Raises:
        LeftOut: the draws hold no velocity.
    """
    observed, modelled, predictive = speeds(draws)
    median = np.median(modelled, 0)
    lower, upper = np.quantile(predictive, QUANTILES, axis=0)
    thick = group(draws, "constant_data")["velocity_block_thickness"].values > LEAST_THICKNESS
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
        (~thick, PRIOR, f"ice thinner than {LEAST_THICKNESS:g} m, not counted"),
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
        title = f"Blocks with more than {LEAST_THICKNESS:g} m of ice: {statistics['blocks']}, too few for statistics"
    axis.set_title(title)
    return figure


def mass_change(draws: xr.DataTree) -> Figure:
    """Modelled geodetic balance, posterior and prior, against its observation; one row a period.

    Raises:
        LeftOut: the draws hold no geodetic balance.
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
    seen = f"at most {np.abs(difference).max():.1f} sigma from the observations"
    if len(periods) == 1:
        seen = f"{abs(difference[0]):.1f} sigma {'above' if difference[0] > 0 else 'below'} the observation"
    figure.suptitle(f"Mass change: the model is {seen}", x=0.01, ha="left")
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
    from matplotlib.colors import ListedColormap

    if "velocity_block" not in grid:
        raise LeftOut("The draws do not say which cells belong to a velocity block, so that there is no map of speed.")
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
