"""Derivatives of every solver that ships: creep, sliding, melt factor, thickness, bed; by speed and mass change."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.data.oggm import read_oggm
from glacierbayes.laws import Glen, WeertmanSliding
from glacierbayes.physics.mass_balance import TemperatureIndex
from glacierbayes.solvers import Stabilised
from glacierbayes.solvers.gradient_check import check_gradient
from glacierbayes.solvers.simulate import simulate

from ..glaciers import valley

pytestmark = pytest.mark.run

SCALARS = ("creep", "sliding", "melt factor", "thickness scale")


def directions(glacier):
    """The origin, and directions of every scalar and of 20 random changes of the bed."""
    nowhere = {name: np.zeros(()) for name in SCALARS} | {"bed": np.zeros(glacier.bed.shape)}
    rng = np.random.default_rng(11)
    beds = [nowhere | {"bed": rng.normal(size=glacier.bed.shape)} for _ in range(20)]
    return nowhere, [nowhere | {name: np.ones(())} for name in SCALARS] + beds


def history_at(glacier, point, solver):
    """Scalars are logarithms of a factor, the bed an addition in m."""
    thicker = glacier.scaled(jnp.exp(point["thickness scale"]))
    moved = eqx.tree_at(lambda g: g.bed, thicker, thicker.bed + point["bed"])
    law = Glen(2.4e-24 * jnp.exp(point["creep"])) + WeertmanSliding(1e-20 * jnp.exp(point["sliding"]))
    balance = TemperatureIndex(glacier.climate, 5.0 * jnp.exp(point["melt factor"]), 2.0, 0.0)
    return simulate(moved, law, balance, (2000.0, 2003.0), solver=solver)


def mean_speed(history):
    vx, vy = history.surface_velocity(2003.0)
    return jnp.mean(jnp.sqrt(vx**2 + vy**2 + 1e-6))


def mass_change(history):
    return history.mass_change()


def check(glacier, solver, through):
    nowhere, along = directions(glacier)
    found = check_gradient(lambda point: through(history_at(glacier, point, solver)), nowhere, along)
    print(found)
    assert found.modes_apart <= 1e-10
    assert np.median(found.from_differences) <= 1e-6
    assert np.max(found.from_differences) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("through", [mean_speed, mass_change])
@pytest.mark.parametrize("solver", [Stabilised()], ids=lambda s: type(s).__name__)
def test_derivatives(solver, through):
    check(valley(), solver, through)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("through", [mean_speed, mass_change])
@pytest.mark.parametrize("solver", [Stabilised()], ids=lambda s: type(s).__name__)
def test_derivatives_on_aletsch(data_dir, solver, through):
    check(read_oggm(data_dir / "RGI60-11.01450", resolution=400.0), solver, through)
