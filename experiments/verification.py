"""The solver against exact solutions of the shallow-ice equation: errors on four grids, and the order they fall with.

Halfar's dome (Bueler et al. 2005, test B), one that grows with its balance (test C), one that slides, a round ice sheet
in balance (test A, Vialov), and a glacier in balance over a cliff (Jarosch et al. 2013). Start and exact solution are
means over cells. Errors in m: at the dome, of the margin (a circle of the same area, ice above 1 m), mean and largest
over all ice cells of either, largest further than 3 cells inside the margin; volume as a share. The order is the
least-squares slope of the mean error. A cell where only the solver has ice counts from 1 m: ahead of the margin lie
films down to 1e-300 m, a quarter of all cells on the coarsest grid, that have no error and would flatter it. The order
with them is printed beside it.

    python experiments/verification.py --output verification/

Writes verification.json and verification.png into the folder.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import glacierbayes as gb
from glacierbayes.constants import SECONDS_PER_YEAR
from glacierbayes.physics.exact import Cliff, Dome, Halfar, SlidingDome, Vialov
from glacierbayes.physics.mass_balance import MassBalance, Prescribed

CREEP = 1e-16 / SECONDS_PER_YEAR  # Pa-3 s-1; EISMINT's, as Bueler et al. and Jarosch et al. take it
DENSITY = 910.0
PARTS = 8  # points a side over which a cell's mean is taken
MIN_THICKNESS = 1.0  # m; the margin is where ice is thinner
GRIDS = (30, 60, 120, 240)


class Run(NamedTuple):
    """Numerical and exact thickness (y, x), distance of cells from the dome, width of a cell, all in m."""

    history: gb.History
    exact: np.ndarray
    distance: np.ndarray
    width: float
    round: bool = True


class Growth(MassBalance):
    """The balance of a growing dome, mean over cells."""

    dome: Dome = eqx.field(static=True)
    x: jax.Array
    y: jax.Array
    width: float

    def rate(self, surface, start, end):
        t = 0.5 * (start + end)
        return cell_mean(lambda x, y: self.dome.balance(x, y, t), self.x, self.y, self.width) + 0.0 * surface

    def breaks(self, start, end):
        """The balance of the middle of a step stands for all of it: none is longer than 25 years."""
        return tuple(np.linspace(start, end, int((end - start) / 25.0) + 2)[1:-1])

    def laid_out(self, cells):
        return Growth(self.dome, cells(self.x), cells(self.y), self.width)


def cell_mean(field: Callable, x, y, width: float):
    """Mean of a function of (x, y) over cells about their centres."""
    shifts = width * ((jnp.arange(PARTS) + 0.5) / PARTS - 0.5)
    across, along = (part.ravel() for part in jnp.meshgrid(shifts, shifts))
    return jnp.mean(jax.lax.map(lambda shift: field(x + shift[0], y + shift[1]), jnp.stack([across, along], -1)), 0)


def grid(half: float, cells: int):
    """Centres of a square grid about 0, and the width of a cell."""
    width = 2 * half / cells
    x = width * (np.arange(cells) + 0.5) - half
    return (x, *np.meshgrid(x, x), width)


def spreading(dome: Dome, law, half: float, years: tuple[float, float], cells: int) -> Run:
    """A dome from one age to another; without a balance from its exact shape, with one from nothing."""
    x, xs, ys, width = grid(half, cells)
    exact = [np.asarray(cell_mean(lambda a, b, t=t: dome.thickness(a, b, t), xs, ys, width)) for t in years]
    balance = Growth(dome, jnp.asarray(xs), jnp.asarray(ys), width) if dome.growth else None
    start = exact[0] if balance is None else np.zeros_like(xs)
    glacier = gb.Glacier(bed=np.zeros_like(xs), thickness=start, x=x, y=x)
    return Run(gb.simulate(glacier, law, balance, years), exact[1], np.hypot(xs, ys), width)


def test_b(cells: int) -> Run:
    """Halfar's dome over 25000 years."""
    dome = Halfar(CREEP, 750e3, 3600.0, density=DENSITY)
    return spreading(dome, gb.laws.Glen(CREEP, density=DENSITY), 1200e3, (dome.t0, dome.t0 + 25e3), cells)


def test_c(cells: int) -> Run:
    """A dome that grows from nothing to 750 km in 15208 years."""
    dome = Halfar(CREEP, 750e3, 3600.0, density=DENSITY, growth=5.0)
    return spreading(dome, gb.laws.Glen(CREEP, density=DENSITY), 1200e3, (1.0, dome.t0), cells)


def sliding(cells: int) -> Run:
    """A dome of the size of a glacier that slides, until it is 50 times as old."""
    dome = SlidingDome(1e-21, 5e3, 300.0)
    return spreading(dome, gb.laws.WeertmanSliding(1e-21), 10e3, (dome.t0, 50 * dome.t0), cells)


def vialov(cells: int) -> Run:
    """A round ice sheet after 25000 years; what crosses its margin melts at once."""
    sheet = Vialov(CREEP, accumulation=0.3, radius=750e3, density=DENSITY)
    x, xs, ys, width = grid(900e3, cells)
    exact = np.asarray(cell_mean(sheet.thickness, xs, ys, width))
    inside = np.hypot(xs, ys) < sheet.radius
    glacier = gb.Glacier(bed=np.zeros_like(xs), thickness=np.where(inside, exact, 0.0), x=x, y=x)
    balance = Prescribed(jnp.asarray(np.where(inside, 0.3, -1e3)), density=1000.0)  # m of ice as they stand
    history = gb.simulate(glacier, gb.laws.Glen(CREEP, density=DENSITY), balance, (0.0, 25e3))
    return Run(history, exact, np.hypot(xs, ys), width)


def cliff(cells: int) -> Run:
    """A glacier over a cliff of 500 m after 60000 years, in a channel one cell wide between walls.

    Its end, where next to nothing melts, takes that long: from bare rock, 2 km are lacking after 20000 years.
    """
    cells = cells * 5 // 6  # so that the cliff is a face
    exact = Cliff(CREEP, density=DENSITY)
    width = 25e3 / cells
    x = width * (np.arange(-1, cells) + 0.5)
    channel = np.zeros((3, x.size), bool)
    channel[1, 1:] = True
    parts = x[:, None] + width * ((np.arange(PARTS**2) + 0.5) / PARTS**2 - 0.5)
    on_ice = np.where(channel, np.asarray(exact.thickness(jnp.abs(parts))).mean(1), 0.0)
    bed = np.where(channel, np.asarray(exact.bed(x)), 1e4)
    glacier = gb.Glacier(bed=bed, thickness=on_ice * np.ones_like(bed), x=x, y=width * np.arange(3.0), mask=channel)
    # means over cells: next to the end hardly anything melts, and a sum that is off moves it far
    sums = np.where(channel, np.asarray(exact.balance(parts)).mean(1), 0.0)
    balance = Prescribed(jnp.asarray(sums), density=1000.0)
    history = gb.simulate(glacier, gb.laws.Glen(CREEP, density=DENSITY), balance, (0.0, 60e3))
    return Run(history, on_ice, np.where(channel, x, np.inf), width, round=False)


CASES = {"test B, Halfar": test_b, "test C, growing": test_c, "sliding dome": sliding, "test A, Vialov": vialov}
CASES |= {"cliff": cliff}


def errors(run: Run) -> dict[str, float]:
    """All figures of one run."""
    found, exact = np.asarray(run.history.thickness[-1]), run.exact
    off = found - exact
    films, ice = (found > 0) | (exact > 0), (found > MIN_THICKNESS) | (exact > 0)

    def margin(thickness: np.ndarray) -> float:
        covered = float(np.sum(thickness > MIN_THICKNESS))
        return run.width * (np.sqrt(covered / np.pi) if run.round else covered)

    deep = run.distance < np.max(run.distance[exact > 0]) - 3 * run.width
    centre = np.argmin(run.distance)
    return {
        "width": run.width,
        "dome": float(off.flat[centre]),
        "volume": float(found.sum() / exact.sum() - 1),
        "margin": margin(found) - margin(exact),
        "mean": float(np.abs(off[ice]).mean()),
        "mean_with_films": float(np.abs(off[films]).mean()),
        "largest": float(np.abs(off).max()),
        "largest_inside": float(np.abs(off[deep]).max()),
        "mass_error": float(run.history.mass_error),
        "least_thickness": float(found.min()),
    }


def order(grids: list[dict[str, float]], error: str) -> float:
    """Slope of the logarithms of an error against the width of the cells."""
    if len(grids) < 2:
        return float("nan")
    return float(np.polyfit(*(np.log([one[key] for one in grids]) for key in ("width", error)), 1)[0])


def draw(profiles: dict[str, tuple[Run, Run]], found: dict, path: Path) -> None:
    """Exact and numerical profiles on the coarsest and the finest grid, and the errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for axis, (name, runs) in zip(axes, profiles.items(), strict=False):
        for run, style in zip(runs, ("o", "-"), strict=True):
            glacier = run.history.glacier
            row = 1 if not run.round else glacier.bed.shape[0] // 2
            at = np.asarray(glacier.x) > 0
            bed = np.asarray(glacier.bed)[row, at]
            x = np.asarray(glacier.x)[at] / 1e3
            surface = bed + np.asarray(run.history.thickness[-1])[row, at]
            label = f"{run.width / 1e3:.3g} km"
            axis.plot(x, surface, style, ms=3, lw=1.2, label=label, color="#D55E00" if style == "o" else "#0072B2")
        axis.plot(x, bed + run.exact[row, at], "k--", lw=0.8, label="exact")
        axis.plot(x, bed, color="0.5", lw=0.8)
        axis.set(title=f"{name}: order {found[name]['order']:.2f}", xlabel="x, km", ylabel="surface, m")
        axis.legend(frameon=False)
    for name, case in found.items():
        widths = [one["width"] / case["grids"][-1]["width"] for one in case["grids"]]
        axes[-1].loglog(widths, [one["mean"] for one in case["grids"]], "o-", ms=3, label=name)
    for axis in axes[len(profiles) : -1]:
        axis.set_axis_off()
    axes[-1].set(title="mean error", xlabel="cell width over the finest", ylabel="m")
    axes[-1].set_xticks(widths, labels=[f"{width:g}" for width in widths], minor=False)
    axes[-1].set_xticks([], minor=True)
    axes[-1].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Reads the command line, runs every case on every grid, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("verification"))
    parser.add_argument("--grids", type=int, nargs="+", default=GRIDS)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    found, profiles = {}, {}
    for name in options.cases:
        grids, runs = [], []
        for cells in options.grids:
            began = time.monotonic()
            run = CASES[name](cells)
            grids.append({"cells": cells, **errors(run), "seconds": time.monotonic() - began})
            runs.append(run)
            print(name, {key: float(f"{value:.3g}") for key, value in grids[-1].items()}, flush=True)
        found[name] = {
            "order": order(grids, "mean"),
            "order_with_films": order(grids, "mean_with_films"),
            "grids": grids,
        }
        profiles[name] = (runs[0], runs[-1])
        print(f"{name}: order {found[name]['order']:.2f}, with films {found[name]['order_with_films']:.2f}", flush=True)
        (options.output / "verification.json").write_text(json.dumps(found, indent=1))
    draw(profiles, found, options.output / "verification.png")


if __name__ == "__main__":
    main()
