"""The implicit solver: the same ice as the explicit one, by long steps."""

import jax
import numpy as np
import pytest

from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen
from glacierbayes.physics.mass_balance import LinearGradient
from glacierbayes.solvers import Implicit, Stabilised
from glacierbayes.solvers.simulate import simulate

from ..glaciers import valley

BALANCE = LinearGradient(ela=2800.0, gradient=0.01)


def run(solver, tolerance: float, years: float = 10.0):
    history = jax.jit(
        lambda g: simulate(g, Glen(2.4e-24), BALANCE, (2000.0, 2000.0 + years), solver=solver, tolerance=tolerance)
    )(valley())
    assert bool(history.ok)
    return history


@pytest.fixture(scope="module")
def exact():
    return run(Stabilised(), 1e-4)


def test_it_goes_to_the_same_ice(exact):
    errors = []
    for tolerance in (0.3, 1e-3):
        found = run(Implicit(), tolerance)
        assert found.mass_error <= 1e-12
        assert np.min(found.thickness) == 0.0
        off = np.asarray(found.thickness[-1] - exact.thickness[-1])
        errors.append(float(np.sqrt(np.mean(off[np.asarray(exact.thickness[-1]) > 0] ** 2))))
    assert errors[0] < 0.3
    assert errors[1] < min(0.03, errors[0])


def test_ice_on_a_steep_slope_passes_through_cells_that_hold_little():
    """A step in which much more passes than there is: mass is kept, no cell falls below 0."""
    x = 100.0 * np.arange(40)
    bed = np.where(x < 2000.0, 3500.0, 3500.0 - 0.9 * (x - 2000.0)) + np.zeros((7, 1))
    thickness = np.where(x < 1800.0, 150.0, 0.0) + np.zeros((7, 1))
    glacier = Glacier(bed=bed, thickness=thickness, x=x, y=100.0 * np.arange(7))
    history = simulate(glacier, Glen(2.4e-23), None, (0.0, 50.0), solver=Implicit(), tolerance=1.0)
    assert bool(history.ok)
    assert history.mass_error <= 1e-12
    assert np.min(history.thickness) == 0.0
    assert np.sum(history.thickness[-1][:, 20:]) + history.outflow / 1e4 > 1000.0  # m of ice over cells: it came down
