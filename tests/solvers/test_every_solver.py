"""Derivatives of every solver that ships: creep, sliding, melt factor, thickness, bed; by speed and mass change."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.laws import Glen, WeertmanSliding
from glacierbayes.physics.mass_balance import TemperatureIndex
from glacierbayes.solvers import Implicit, Stabilised
from glacierbayes.solvers.gradient_check import check_gradient
from glacierbayes.solvers.simulate import simulate

from ..glaciers import valley

GLACIER = valley()
RNG = np.random.default_rng(11)
SCALARS = ("creep", "sliding", "melt factor", "thickness scale")
NOWHERE = {name: np.zeros(()) for name in SCALARS} | {"bed": np.zeros(GLACIER.bed.shape)}
DIRECTIONS = [NOWHERE | {name: np.ones(())} for name in SCALARS]
DIRECTIONS += [NOWHERE | {"bed": RNG.normal(size=GLACIER.bed.shape)} for _ in range(20)]


def history_at(point, solver):
    """Scalars are logarithms of a factor, the bed an addition in m."""
    thicker = GLACIER.scaled(jnp.exp(point["thickness scale"]))
    glacier = eqx.tree_at(lambda g: g.bed, thicker, thicker.bed + point["bed"])
    law = Glen(2.4e-24 * jnp.exp(point["creep"])) + WeertmanSliding(1e-20 * jnp.exp(point["sliding"]))
    balance = TemperatureIndex(GLACIER.climate, 5.0 * jnp.exp(point["melt factor"]), 2.0, 0.0)
    return simulate(glacier, law, balance, (2000.0, 2003.0), solver=solver)


def mean_speed(history):
    vx, vy = history.surface_velocity(2003.0)
    return jnp.mean(jnp.sqrt(vx**2 + vy**2 + 1e-6))


def mass_change(history):
    return history.mass_change()


@pytest.mark.slow
@pytest.mark.parametrize("through", [mean_speed, mass_change])
@pytest.mark.parametrize("solver", [Stabilised(), Implicit()], ids=lambda s: type(s).__name__)
def test_derivatives(solver, through):
    found = check_gradient(lambda point: through(history_at(point, solver)), NOWHERE, DIRECTIONS)
    print(found)
    assert found.modes_apart <= 1e-10
    assert np.median(found.from_differences) <= 1e-6
    assert np.max(found.from_differences) <= 1e-4
