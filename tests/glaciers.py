"""Small glaciers for the tests of the physics."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from glacierbayes.glacier import Climate, Glacier

RHO_G = 900.0 * 9.81  # Pa m-1
YEAR = 365.25 * 86400.0  # s


def rough(seed: int, rows: int = 22, columns: int = 26, cell: float = 100.0) -> Glacier:
    """Patches of ice on a steep bed with cliffs of a hundred metres, up to the edge of the grid, no outline."""
    rng = np.random.default_rng(seed)
    x, y = cell * np.arange(columns), cell * np.arange(rows)
    bed = 3000.0 - 0.3 * x - 0.1 * y[:, None] + rng.normal(0.0, 80.0, (rows, columns))
    thickness = rng.uniform(0.0, 200.0, bed.shape) * (rng.random(bed.shape) < 0.6)
    return Glacier(bed=bed, thickness=thickness, x=x, y=y)


def slab(thickness: float = 120.0, slope_x: float = 0.1, slope_y: float = 0.0, size: int = 12) -> Glacier:
    """Ice of one thickness on a tilted plane; x cells of 100 m, y cells of 80 m, y descending."""
    x, y = 100.0 * np.arange(size), -80.0 * np.arange(size)
    bed = 3000.0 - slope_x * x - slope_y * y[:, None]
    return Glacier(bed=bed, thickness=np.full(bed.shape, thickness), x=x, y=y)


def valley(rim: int = 0, **changes: Any) -> Glacier:
    """A valley glacier of 1.2 km by 2.4 km that flows towards smaller y, with an outline and a climate.

    With `rim` rows and columns of bare rock more on every side `simulate` works in a window.
    """
    rows, columns, cell = 30 + 2 * rim, 18 + 2 * rim, 100.0
    x, y = cell * (np.arange(columns) - rim), 9000.0 + cell * (np.arange(rows) - rim)
    across, along = (x - x.mean()) / 600.0, (y - y.mean())[:, None] / 1200.0
    bed = 2800.0 + 0.12 * (y - y.mean())[:, None] + 120.0 * across**2 + 15.0 * np.sin(3.0 * along + across)
    inside = 1 - across**2 - along**2
    thickness = 140.0 * np.maximum(inside, 0.0)
    fields = dict(bed=bed, thickness=thickness, x=x, y=y, mask=inside > 0, climate=climate())
    return Glacier(**{**fields, **changes})


def climate(first_year: int = 1998, years: int = 12, seed: int = 3) -> Climate:
    """Alpine months at 2800 m, every one different."""
    rng = np.random.default_rng(seed)
    season = -np.cos(2 * np.pi * (np.arange(12) - 0.5) / 12)
    return Climate(
        temperature=jnp.asarray(-1.0 + 7.0 * season + rng.normal(0.0, 1.0, (years, 12))),
        precipitation=jnp.asarray(rng.uniform(40.0, 200.0, (years, 12))),
        reference_height=2800.0,
        first_year=first_year,
        source="made up",
    )
