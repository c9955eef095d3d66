"""Halfar's dome: the formula against the equation, the solver against the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes import constants
from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen, LocalIce
from glacierbayes.physics.exact import Halfar
from glacierbayes.solvers.simulate import simulate

CREEP = 1e-16 / constants.SECONDS_PER_YEAR
DOME = Halfar(A=CREEP, radius=750e3, height=3600.0, density=910.0)


def test_age_of_bueler_test_b():
    assert DOME.t0 == pytest.approx(422.45, abs=0.01)


@pytest.mark.parametrize("n", [1.5, 3.0, 4.0])
def test_the_formula_solves_the_equation(n):
    dome = Halfar(A=1e-24 * 1e5 ** (3 - n), radius=5e3, height=300.0, n=n)
    law = Glen(A=dome.A, n=n)
    t = 1.7 * dome.t0

    def thickness(point):
        return dome.thickness(point[0], point[1], t)

    def flux(point):
        slope = jax.grad(thickness)(point)
        mobility, _ = law.mobility(LocalIce(thickness(point), jnp.sum(slope**2)))
        return -constants.SECONDS_PER_YEAR * mobility * slope

    rng = np.random.default_rng(0)
    distance, angle = rng.uniform(300.0, 4500.0, 20), rng.uniform(0.0, 2 * np.pi, 20)
    for point in jnp.asarray(np.stack([distance * np.cos(angle), distance * np.sin(angle)], -1)):
        change = jax.grad(lambda age, at=point: dome.thickness(at[0], at[1], age))(t)
        assert -jnp.trace(jax.jacfwd(flux)(point)) == pytest.approx(float(change), rel=1e-9)


def test_shape_at_t0():
    assert float(DOME.thickness(0.0, 0.0, DOME.t0)) == pytest.approx(3600.0)
    at = DOME.thickness(np.array([749e3, 751e3, 0.0]), np.array([0.0, 0.0, -2e6]), DOME.t0)
    assert at[0] > 0
    assert not at[1:].any()


@pytest.fixture(scope="module")
def errors():
    """Mean error on the ice and error at the dome, m, after as long again as the dome is old, on two grids."""
    found = {}
    for cells in (31, 61):
        x = np.linspace(-900e3, 900e3, cells)
        grid = np.meshgrid(x, x)
        start = np.asarray(DOME.thickness(*grid, DOME.t0))
        glacier = Glacier(bed=np.zeros_like(start), thickness=start, x=x, y=x)
        history = simulate(glacier, Glen(CREEP, density=910.0), None, (DOME.t0, 2 * DOME.t0))
        exact = DOME.thickness(*grid, 2 * DOME.t0)
        error = np.abs(np.asarray(history.thickness[-1] - exact))
        found[cells] = error[np.asarray(exact) > 0].mean(), error[cells // 2, cells // 2], history
    return found


def test_error_of_the_dome(errors):
    mean, dome, _ = errors[61]
    assert mean < 10.0
    assert dome < 5.0


def test_error_falls_faster_than_the_cell(errors):
    assert errors[31][0] > 2 * errors[61][0]
    assert errors[31][1] > 2 * errors[61][1]


def test_the_dome_keeps_its_mass(errors):
    for _, _, history in errors.values():
        first, last = np.asarray(history.thickness).sum((1, 2))
        assert abs(last - first) <= 1e-12 * first
        assert history.mass_error <= 1e-12
        assert bool(history.ok)
