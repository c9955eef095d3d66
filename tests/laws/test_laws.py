"""Flow laws against their formulas, and diffusivity against surface speed."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.errors import InputError
from glacierbayes.laws import BuddSliding, Correction, CoulombSliding, Glen, LocalIce, WeertmanSliding
from glacierbayes.solvers.simulate import simulate

from ..glaciers import RHO_G, slab, valley

H = jnp.array([10.0, 120.0, 400.0])
S = jnp.array([0.3, 0.1, 0.02])
ICE = LocalIce(H, S**2)


@pytest.mark.parametrize("n", [1.0, 2.5, 3.0, 4.0])
def test_glen(n):
    diffusivity, speed = Glen(A=2.4e-24, n=n).mobility(ICE)
    assert np.allclose(diffusivity, 2 * 2.4e-24 / (n + 2) * RHO_G**n * H ** (n + 2) * S ** (n - 1), rtol=1e-12)
    assert np.allclose(speed * S, 2 * 2.4e-24 / (n + 1) * RHO_G**n * H ** (n + 1) * S**n, rtol=1e-12)


@pytest.mark.parametrize("m", [1.0, 2.0, 3.0, 3.3])
def test_sliding(m):
    diffusivity, speed = WeertmanSliding(C=1e-20, m=m).mobility(ICE)
    assert np.allclose(speed * S, 1e-20 * (RHO_G * H * S) ** m, rtol=1e-12)
    # the whole column slides: surface, mean and bed have one speed
    assert np.allclose(diffusivity, H * speed, rtol=1e-14)


def test_mean_speed_of_creep_is_the_surface_speed_times_a_fixed_ratio():
    diffusivity, speed = Glen(A=2.4e-24, n=3.0).mobility(ICE)
    assert np.allclose(diffusivity / H, speed * 4 / 5, rtol=1e-14)


def test_density_is_the_law_s_own():
    light, heavy = (Glen(A=1e-24, density=density).mobility(ICE)[0] for density in (900.0, 910.0))
    assert np.allclose(heavy / light, (910 / 900) ** 3, rtol=1e-13)


def test_laws_add():
    glen, sliding, other = Glen(A=2.4e-24), WeertmanSliding(C=1e-20), WeertmanSliding(C=3e-15, m=2.0)
    both = (glen + sliding + other).mobility(ICE)
    for i in range(2):
        assert np.allclose(both[i], sum(law.mobility(ICE)[i] for law in (glen, sliding, other)), rtol=1e-14)


@pytest.mark.parametrize("law", [Glen, WeertmanSliding])
@pytest.mark.parametrize("power", [2.0, 3.0, 2.5])
def test_an_exponent_may_be_a_number_or_an_array(law, power):
    fixed, inferable = law(1e-22, power).mobility(ICE), law(1e-22, jnp.array(power)).mobility(ICE)
    assert np.allclose(fixed, inferable, rtol=1e-11)


def test_the_exponent_can_be_differentiated():
    def speed(n):
        return jnp.sum(Glen(A=2.4e-24, n=n).mobility(ICE)[1])

    step = 1e-5
    expected = (speed(3.0 + step) - speed(3.0 - step)) / (2 * step)
    assert float(jax.grad(speed)(jnp.array(3.0))) == pytest.approx(float(expected), rel=1e-7)


@pytest.mark.parametrize("n", [3.0, jnp.array(3.0), jnp.array(2.2)])
def test_no_ice_and_no_slope_have_finite_derivatives(n):
    def total(thickness, slope_squared):
        law = Glen(A=2.4e-24, n=n) + WeertmanSliding(C=1e-20, m=n)
        return sum(jnp.sum(part) for part in law.mobility(LocalIce(thickness, slope_squared)))

    thickness, slope_squared = jnp.array([0.0, 0.0, 100.0]), jnp.array([1e-20, 0.01, 1e-20])
    for gradient in jax.grad(total, (0, 1))(thickness, slope_squared):
        assert np.all(np.isfinite(gradient))
    assert not np.any(Glen(A=2.4e-24, n=n).mobility(LocalIce(jnp.zeros(3), slope_squared))[0])


@pytest.mark.parametrize("m", [1.0, 2.0, 3.0, 3.3])
def test_budd(m):
    diffusivity, speed = BuddSliding(C=1e-14, m=m, effective=0.25).mobility(ICE)
    assert np.allclose(speed * S, 1e-14 * (RHO_G * H * S) ** m / (0.25 * RHO_G * H), rtol=1e-12)
    assert np.allclose(diffusivity, H * speed, rtol=1e-14)


@pytest.mark.parametrize("p", [1.0, 3.0, 5.0])
def test_the_drag_of_coulomb_sliding_is_the_driving_stress(p):
    law = CoulombSliding(transition_speed=1e-6, friction=0.6, effective=0.6, p=p)
    diffusivity, speed = law.mobility(ICE)
    u = np.asarray(speed * S)
    drag = 0.6 * 0.6 * RHO_G * H * (u / (u + 1e-6)) ** (1 / p)
    assert np.allclose(drag, RHO_G * H * S, rtol=1e-10)
    assert np.allclose(diffusivity, H * speed, rtol=1e-14)


def test_beyond_what_till_bears_the_speed_stays():
    law = CoulombSliding(transition_speed=1e-6, friction=0.6, effective=0.5)
    steep = LocalIce(jnp.array([100.0, 100.0, 0.0]), jnp.array([0.4, 0.8, 0.8]) ** 2)
    speed = np.asarray(law.mobility(steep)[1] * steep.slope)
    assert speed[0] == pytest.approx(99e-6, rel=1e-6) and speed[1] == pytest.approx(speed[0], rel=1e-12)
    assert speed[2] == 0


@pytest.mark.parametrize("law", [BuddSliding(1e-14), CoulombSliding(1e-6), BuddSliding(1e-14, m=jnp.array(2.7))])
def test_derivatives_are_finite_without_ice_and_without_slope(law):
    def flux(thickness, slope_squared):
        diffusivity, speed = law.mobility(LocalIce(thickness, slope_squared))
        return jnp.sum(diffusivity + speed)

    for thickness, slope_squared in ((0.0, 0.04), (100.0, 1e-20), (0.0, 1e-20)):
        at = (jnp.array([thickness]), jnp.array([slope_squared]))
        assert all(np.isfinite(part).all() for part in jax.grad(flux, (0, 1))(*at))


def _asks_for_debris(ice):
    return -ice["debris"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Glen(1e-24) * 2.0, "multiplied by a laws.Multiplier, not by 2.0"),
        (lambda: inspect.unwrap(simulate)(slab(), Glen, None), "expected a law with its parameters"),
        (lambda: _asks_for_debris(LocalIce(jnp.ones(2), jnp.ones(2))), r"needs = \('debris',\)"),
    ],
    ids=["a number", "a class", "a field that is not named"],
)
def test_what_is_no_law_is_bad_input(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()


@pytest.mark.parametrize("function", [jnp.log, jnp.sqrt, lambda h: h**0.3], ids=["log", "root", "power"])
@pytest.mark.run
@pytest.mark.slow
def test_functions_without_a_derivative_at_no_ice_have_gradients(function):
    """The multiplier is differentiated twice, at faces of cells without ice too."""

    def log_factor(share, thickness, slope):
        return share * function(thickness / 100.0)

    def speed(share):
        law = Glen(1e-24) * Correction(jax.tree_util.Partial(log_factor, share))
        history = simulate(valley(), law, None, (2000.0, 2002.0))
        return jnp.sum(history.surface_velocity(2002.0)[1] ** 2)

    step = 1e-4
    expected = (speed(0.5 + step) - speed(0.5 - step)) / (2 * step)
    assert float(expected) != 0.0
    for gradient in (jax.grad(speed)(0.5), jax.jacfwd(speed)(0.5)):
        assert float(gradient) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.run
def test_a_traced_value_inside_a_function_is_named():
    def speed(share):
        law = Glen(1e-24) * Correction(lambda thickness, slope: share * thickness)
        return jnp.sum(simulate(valley(), law, None, (2000.0, 2001.0)).thickness)

    with pytest.raises(InputError, match="such as a sampled parameter in a lambda"):
        jax.grad(speed)(1e-3)
