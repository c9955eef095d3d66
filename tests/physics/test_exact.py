"""Exact solutions: the formulas against the equation, the solver against the formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from glacierbayes import constants
from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen, LocalIce, WeertmanSliding
from glacierbayes.physics.exact import Cliff, Halfar, SlidingDome, Vialov
from glacierbayes.solvers.simulate import simulate

CREEP = 1e-16 / constants.SECONDS_PER_YEAR
DOME = Halfar(A=CREEP, radius=750e3, height=3600.0, density=910.0)


def test_age_of_bueler_test_b():
    assert DOME.t0 == pytest.approx(422.45, abs=0.01)


def outflow(law, thickness):
    """Of a surface on a flat bed, m per year, as a function of points (x, y)."""

    def flux(point):
        slope = jax.grad(thickness)(point)
        mobility, _ = law.mobility(LocalIce(thickness(point), jnp.sum(slope**2)))
        return -constants.SECONDS_PER_YEAR * mobility * slope

    return jax.jit(jax.vmap(lambda point: jnp.trace(jax.jacfwd(flux)(point))))


def places(low, high):
    rng = np.random.default_rng(0)
    distance, angle = rng.uniform(low, high, 20), rng.uniform(0.0, 2 * np.pi, 20)
    return jnp.asarray(np.stack([distance * np.cos(angle), distance * np.sin(angle)], -1))


DOMES = {
    "n 1.5": (Halfar(1e-16, 5e3, 300.0, n=1.5), Glen(1e-16, n=1.5)),
    "n 3": (Halfar(1e-24, 5e3, 300.0), Glen(1e-24)),
    "n 4": (Halfar(1e-29, 5e3, 300.0, n=4.0), Glen(1e-29, n=4.0)),
    "growing": (Halfar(1e-24, 5e3, 300.0, growth=5.0), Glen(1e-24)),
    "sliding": (SlidingDome(1e-21, 5e3, 300.0), WeertmanSliding(1e-21)),
    "sliding, growing": (SlidingDome(1e-16, 5e3, 300.0, m=2.0, growth=1.5), WeertmanSliding(1e-16, m=2.0)),
}


@pytest.mark.parametrize("case", DOMES)
def test_a_dome_solves_the_equation(case):
    dome, law = DOMES[case]
    t = 1.2 * dome.t0
    leaving = outflow(law, lambda at: dome.thickness(at[0], at[1], t))
    points = places(300.0, 4800.0)
    x, y = points.T
    _, change = jax.jvp(lambda age: dome.thickness(x, y, age), (t,), (1.0,))
    assert np.allclose(leaving(points), dome.balance(x, y, t) - change, rtol=1e-9, atol=1e-12)
    assert np.abs(change).min() > 1e-6


def test_age_and_margin_of_bueler_test_c():
    dome = Halfar(CREEP, 750e3, 3600.0, density=910.0, growth=5.0)
    assert dome.t0 == pytest.approx(15208, abs=1)
    assert dome.margin(2 * dome.t0) == pytest.approx(4 * 750e3)  # t squared
    assert float(dome.thickness(0.0, 0.0, 2 * dome.t0)) == pytest.approx(2 * 3600.0)


def test_bueler_test_c_as_others_computed_it(data_dir):
    """At 1000 years, by Jarosch; to 1e-4 of the height, their constants not being stated."""
    with xr.open_dataset(data_dir / "reference" / "SIA_data_bueler.nc", engine="h5netcdf") as file:
        x, y, surface = (file[name].values.astype(float) for name in ("x", "y", "usurfBueler"))
    dome = Halfar(CREEP, 750e3, 3600.0, density=910.0, growth=5.0)
    ours = np.asarray(dome.thickness(*np.meshgrid(x, y), 1000.0))
    inland = np.hypot(*np.meshgrid(x, y)) < 3000.0
    assert np.allclose(ours[inland], surface[inland], rtol=0, atol=0.03)
    assert np.abs(ours - surface).max() < 0.2


def test_vialov_is_in_balance():
    sheet = Vialov(CREEP, accumulation=0.3, radius=750e3, density=910.0)
    leaving = outflow(Glen(CREEP, density=910.0), lambda at: sheet.thickness(at[0], at[1]))
    assert np.allclose(leaving(places(20e3, 740e3)), 0.3, rtol=1e-9, atol=0)
    assert float(sheet.thickness(750e3, 0.0)) == 0.0


@pytest.mark.parametrize("step", [100.0, 500.0], ids=["buried cliff", "bare cliff"])
def test_the_ice_at_a_cliff_is_in_balance(step):
    cliff = Cliff(CREEP, step=step, density=910.0)
    law = Glen(CREEP, density=910.0)

    def flux(x):
        slope = jax.grad(cliff.thickness)(x)
        return -constants.SECONDS_PER_YEAR * law.mobility(LocalIce(cliff.thickness(x), slope**2))[0] * slope

    x = jnp.concatenate([jnp.linspace(500.0, 6900.0, 9), jnp.linspace(7100.0, 19500.0, 9)])
    assert np.allclose(jax.jit(jax.vmap(jax.grad(flux)))(x), cliff.balance(x), rtol=1e-9, atol=1e-12)
    above, below = cliff.thickness(np.array([cliff.edge - 1e-6, cliff.edge]))
    assert float(above) == pytest.approx(max(float(below) - step, 0.0), abs=0.1)
    assert float(cliff.thickness(20e3)) == 0.0


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


@pytest.mark.run
def test_error_of_the_dome(errors):
    mean, dome, _ = errors[61]
    assert mean < 10.0
    assert dome < 5.0


@pytest.mark.run
def test_error_falls_faster_than_the_cell(errors):
    assert errors[31][0] > 2 * errors[61][0]
    assert errors[31][1] > 2 * errors[61][1]


@pytest.mark.run
def test_the_dome_keeps_its_mass(errors):
    for _, _, history in errors.values():
        first, last = np.asarray(history.thickness).sum((1, 2))
        assert abs(last - first) <= 1e-12 * first
        assert history.mass_error <= 1e-12
        assert bool(history.ok)
