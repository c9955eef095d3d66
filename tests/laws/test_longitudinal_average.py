"""Longitudinal averaging: the average itself, what stays exact with it, and its derivatives."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glacierbayes as gb
from glacierbayes.laws import Glen, LongitudinalAverage, WeertmanSliding
from glacierbayes.laws.base import LocalIce
from glacierbayes.laws.longitudinal_average import at_averaged_slope
from glacierbayes.physics.slope import averaged_slope_squared

from ..glaciers import rough, slab, valley

YEARS = (2000.0, 2003.0)
LAW = Glen(2.4e-24) + WeertmanSliding(1e-20)


def speed_of(history):
    return np.hypot(*(np.asarray(v) for v in history.surface_velocity(YEARS[1])))


def test_a_wave_is_damped_by_what_the_exponential_average_says():
    """Of slopes a + b cos(kx) on ice of one thickness: b over 1 + (kL)^2, with the difference's own (kL)^2."""
    dx, thickness, thicknesses, wave = 50.0, 200.0, 1.5, 2 * np.pi / 800.0
    x = dx * np.arange(160)
    surface = 3000.0 - 0.1 * x + 6.0 * np.sin(wave * x)
    surface = jnp.asarray(np.tile(surface, (9, 1)))
    average = averaged_slope_squared(jnp.full(surface.shape, thickness), surface, dx, dx, jnp.asarray(thicknesses))
    length = 2 * thicknesses * thickness / dx * np.sin(wave * dx / 2)
    there = 6.0 * np.sin(wave * dx) / dx * np.cos(wave * x)  # by central differences
    expected = (-0.1 + there / (1 + length**2)) ** 2
    inner = slice(60, 100)  # 10 lengths from both ends
    assert np.allclose(average[:, inner], expected[inner], rtol=2e-4)


@pytest.mark.run
def test_on_an_even_slope_nothing_changes():
    plain, averaged = (gb.simulate(slab(), law, None, YEARS) for law in (LAW, LongitudinalAverage(LAW, 3.0)))
    for one, other in zip(plain.surface_velocity(YEARS[0]), averaged.surface_velocity(YEARS[0]), strict=True):
        assert np.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.run
def test_mass_is_conserved_and_no_thickness_is_negative():
    history = gb.simulate(rough(3), LongitudinalAverage(LAW, 2.0), None, YEARS)
    assert history.ok and history.mass_error < 1e-12 and np.min(history.thickness) >= 0.0


@pytest.mark.run
def test_a_function_is_given_the_slope_that_range_reference_and_figure_are_of():
    ice = rough(7)
    plain = gb.simulate(ice, LongitudinalAverage(LAW, 2.0), None, YEARS)
    steep = LAW * gb.laws.Correction(lambda thickness, slope: jnp.log(slope))
    with_slope = gb.simulate(ice, LongitudinalAverage(steep, 2.0), None, YEARS)
    without, multiplied = (np.hypot(*one.surface_velocity(YEARS[0])) for one in (plain, with_slope))
    thickness, slope = gb.priors.thickness_and_slope(ice, 2.0)
    there = (thickness > 10.0) & (without > 1e-3)
    assert there.sum() > 50
    assert np.allclose(multiplied[there] / without[there], slope[there], rtol=1e-6)
    assert not np.allclose(slope[there], gb.priors.thickness_and_slope(ice)[1][there], rtol=0.05)


@pytest.mark.run
def test_x_and_y_are_alike():
    one = rough(5)
    other = gb.Glacier(np.asarray(one.bed).T, np.asarray(one.thickness).T, one.y, one.x)
    first, second = (gb.simulate(ice, LongitudinalAverage(LAW, 2.0), None, YEARS) for ice in (one, other))
    assert np.allclose(first.thickness[-1], second.thickness[-1].T, atol=1e-9)
    assert np.max(np.abs(first.thickness[-1] - gb.simulate(one, LAW, None, YEARS).thickness[-1])) > 1.0


@pytest.mark.run
def test_other_solvers_give_the_same():
    ours, theirs = (
        gb.simulate(valley(), LongitudinalAverage(LAW, 2.0), None, YEARS, solver=solver, tolerance=0.01)
        for solver in (gb.solvers.Stabilised(), diffrax.Bosh3())
    )
    plain = gb.simulate(valley(), LAW, None, YEARS, tolerance=0.01)
    apart, effect = (np.sqrt(np.mean((h.thickness[-1] - theirs.thickness[-1]) ** 2)) for h in (ours, plain))
    assert apart < 0.05 and apart < 0.02 * effect  # the average is held within a step


@pytest.mark.parametrize("ice", [rough(3), rough(7), valley()], ids=["rough", "other", "valley"])
@pytest.mark.run
def test_steps_are_as_exact_as_those_of_a_local_law(ice):
    """Followed by the same amount, the average would follow cliffs in full within a step: 1.1, 0.45 and 0.15 m."""
    usual, short = (
        gb.simulate(ice, LongitudinalAverage(LAW, 2.0), None, YEARS, tolerance=t).thickness[-1] for t in (0.3, 0.01)
    )
    assert np.sqrt(np.mean((usual - short) ** 2)) < 0.05


def test_within_a_step_the_averaged_slope_follows_at_most_in_proportion():
    rng = np.random.default_rng(4)
    local, average = jnp.asarray(np.exp(rng.uniform(-46.0, 1.0, (2, 1000))))
    law = at_averaged_slope(Glen(2.4e-24), local, average)

    def diffusivity(slope_squared):  # of Glen's law: in proportion to the square of the averaged slope
        return law.mobility(LocalIce(jnp.full(local.shape, 100.0), slope_squared))[0]

    at = Glen(2.4e-24).mobility(LocalIce(jnp.full(local.shape, 100.0), average))[0]
    value, change = jax.jvp(diffusivity, (local,), (local,))
    assert np.allclose(value, at, rtol=1e-9)
    assert np.all(change <= value * (1 + 1e-9)) and np.all(change > 0)
    assert np.all(diffusivity(jnp.zeros_like(local)) >= 0)


@pytest.mark.run
@pytest.mark.slow
def test_derivatives():
    """By the number of thicknesses, creep and the bed."""
    ice = valley()
    nowhere = {"thicknesses": np.zeros(()), "creep": np.zeros(()), "bed": np.zeros(ice.bed.shape)}
    bed = np.random.default_rng(1).normal(size=ice.bed.shape)
    along = [nowhere | {"thicknesses": np.ones(())}, nowhere | {"creep": np.ones(())}, nowhere | {"bed": bed}]

    def mean_speed(point):
        law = LongitudinalAverage(Glen(2.4e-24 * jnp.exp(point["creep"])), 1.5 * jnp.exp(point["thicknesses"]))
        moved = eqx.tree_at(lambda g: g.bed, ice, ice.bed + point["bed"])
        vx, vy = gb.simulate(moved, law, None, YEARS).surface_velocity(YEARS[1])
        return jnp.mean(jnp.sqrt(vx**2 + vy**2 + 1e-6))

    found = gb.check_gradient(mean_speed, nowhere, along)
    assert found.modes_apart <= 1e-10
    assert np.max(found.from_differences) <= 1e-5


class Steeper(gb.laws.Multiplier):
    """The more the steeper."""

    def log(self, ice):
        return 0.5 * jnp.log(ice.slope_squared / 0.01)


class SteeperGlen(gb.laws.FlowLaw):
    """The same as a law of its own, evaluated in every stage."""

    def mobility(self, ice):
        return tuple(ice.slope / 0.1 * part for part in Glen(2.4e-24).mobility(ice))


@pytest.mark.run
def test_a_multiplier_inside_takes_the_averaged_slope():
    laws = Glen(2.4e-24) * Steeper(), SteeperGlen()
    one, other = (gb.simulate(valley(), LongitudinalAverage(law, 2.0), None, YEARS) for law in laws)
    plain = gb.simulate(valley(), laws[0], None, YEARS)
    assert np.max(np.abs(one.thickness[-1] - other.thickness[-1])) < 0.05
    assert np.max(np.abs(one.thickness[-1] - plain.thickness[-1])) > 0.5


def test_within_another_law_it_is_refused():
    with pytest.raises(gb.InputError, match="LongitudinalAverage must be the outermost law"):
        jax.eval_shape(
            lambda: gb.simulate(slab(), LongitudinalAverage(Glen(2e-24), 1.0) + WeertmanSliding(1e-21), None, YEARS)
        )
