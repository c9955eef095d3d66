"""Glaciers with a known law, for the demo and twin experiments."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes import constants, laws
from glacierbayes.glacier import Glacier
from glacierbayes.observations.geodetic import GeodeticBalance
from glacierbayes.observations.observations import Observations
from glacierbayes.observations.velocity import Velocity
from glacierbayes.physics.mass_balance import LinearGradient
from glacierbayes.solvers.simulate import simulate

SPACING = 300.0  # m
LENGTH, WIDTH = 26, 9  # cells; the ice ends at the 24th
SPIN_UP = 120.0  # years with the former equilibrium line, without ice at the beginning
BLOCK_SIZE = 600.0  # m
SPEED_SIGMA, BALANCE_SIGMA = 3.0, 0.1  # m per year; m w.e. per year


class Twin(NamedTuple):
    """A synthetic glacier with its observations, and the true parameters by the names of the sites."""

    glacier: Glacier
    observations: Observations
    truth: dict[str, float]


def valley_glacier(
    creep: float = 1.2e-24,
    sliding: float = 1.0e-22,
    equilibrium_line: float = 3130.0,
    gradient: float = 0.0075,
    warming: float = 80.0,
    seed: int = 0,
) -> Twin:
    """Makes a valley glacier 7 km long that was close to balance in 2000 and has lost mass since.

    Args:
        creep: A of Glen's law, n = 3, Pa-3 s-1.
        sliding: C of Weertman's law, m = 3, m s-1 Pa-3.
        equilibrium_line: equilibrium line altitude from 2000 to 2020, m.
        gradient: gradient of the balance, m w.e. per year per m.
        warming: rise of the equilibrium line in 2000, m.
        seed: seed of the observation errors.

    Returns:
        The glacier in 2000, its velocity in 2018 in blocks, its balance 2000-2020, and the truth.
    """
    x = (np.arange(LENGTH) + 0.5) * SPACING
    y = (np.arange(WIDTH) + 0.5) * SPACING
    across = (y - y.mean())[:, None]
    floor = 3300.0 - 0.13 * x[None] + 60.0 * np.exp(-(((x[None] - 4000.0) / 1200.0) ** 2))
    headwall = 900.0 * np.exp(-((x[None] / 500.0) ** 2))  # ice would leave over the edge of the grid
    bed = floor + headwall + 450.0 * (across / 1000.0) ** 2
    inside = (np.abs(across) < 1000.0) & (x[None] > 600.0)
    law = laws.Glen(A=creep) + laws.WeertmanSliding(C=sliding)
    empty = Glacier(bed, np.zeros_like(bed), x, y, mask=inside)

    old = LinearGradient(equilibrium_line - warming, gradient, 2.0)
    grown = simulate(empty, law, old, years=(2000.0 - SPIN_UP, 2000.0)).thickness[-1]
    outline = np.asarray(grown) > 1.0
    glacier = Glacier(bed, np.where(outline, grown, 0.0), x, y, mask=outline, thickness_product="synthetic truth")

    balance = LinearGradient(equilibrium_line, gradient)
    history = simulate(glacier, law, balance, years=(2000.0, 2020.0), save_at=(2018.0,))
    keys = jax.random.split(jax.random.key(seed), 2)
    vx, vy = (np.where(outline, v, np.nan) for v in history.surface_velocity(2018.0))
    velocity = Velocity.from_grid(vx, vy, glacier, 2018.0, sigma=SPEED_SIGMA, block_size=BLOCK_SIZE)
    if velocity is None:
        raise ValueError("valley_glacier: no ice grew with these parameters; lower the equilibrium line")
    noise = SPEED_SIGMA * jax.random.t(keys[0], 5.0, velocity.velocity.shape)
    velocity = Velocity(
        velocity.velocity + noise, velocity.sigma, velocity.block, velocity.x, velocity.y,
        velocity.ice_thickness, velocity.year,
    )  # fmt: skip
    change = history.mass_change(2000.0, 2020.0)
    observed = float(change + BALANCE_SIGMA * jax.random.normal(keys[1]))
    truth = {
        "creep_parameter": creep,
        "sliding_parameter": sliding,
        "thickness_scale": 1.0,
        "equilibrium_line": equilibrium_line,
        "balance_gradient": gradient,
        "volume_change_density": constants.VOLUME_CHANGE_DENSITY,
    }
    observations = Observations(
        velocity, GeodeticBalance(observed, BALANCE_SIGMA, 2000.0, 2020.0), ("synthetic glacier",)
    )
    return Twin(glacier, observations, truth)


def sampled_truth(truth: dict[str, float], thickness: float, slope: float) -> dict[str, float]:
    """Returns the reference speed (m per year) and the sliding fraction of true creep and sliding parameters.

    Args:
        truth: with "creep_parameter", Pa-3 s-1, and "sliding_parameter", m s-1 Pa-3.
        thickness, slope: the reference geometry, m and 1.
    """
    ice = laws.LocalIce(jnp.asarray(thickness), jnp.asarray(slope**2))
    creep = float(laws.Glen(A=truth["creep_parameter"]).mobility(ice)[1])
    slip = float(laws.WeertmanSliding(C=truth["sliding_parameter"]).mobility(ice)[1])
    speed = (creep + slip) * slope * constants.SECONDS_PER_YEAR
    return {"reference_speed": speed, "sliding_fraction": slip / (creep + slip)}
