"""Families of unknown functions: what their draws are like a priori."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import glacierbayes as gb
from glacierbayes.functions import GaussianProcess, NeuralNetwork, Spline, UnknownFunction
from glacierbayes.functions.base import sine_and_cosine
from glacierbayes.functions.gaussian_process import harmonics
from glacierbayes.laws import Correction, LocalIce

RANGE, LENGTH, SCALE = (-24.0, 2.0), 3.0, 0.8
FAMILIES = [Spline(RANGE, SCALE, LENGTH), GaussianProcess(RANGE, SCALE, LENGTH), NeuralNetwork(RANGE, SCALE, LENGTH)]
BOTH = ((0.0, 400.0), (0.0, 0.6)), SCALE, (120.0, 0.15)
SURFACES = [Spline(*BOTH), GaussianProcess(*BOTH), NeuralNetwork(*BOTH)]
DRAWS = 4000


def name(family) -> str:
    return type(family).__name__


def draws(family, *inputs):
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(DRAWS, family.size)))
    return np.asarray(jax.vmap(lambda one: family(one, *inputs))(weights))


@pytest.mark.parametrize("family", FAMILIES, ids=name)
def test_mean_deviation_and_correlation(family):
    """Of 4000 draws: the standard error of the mean is 0.016 of the deviation; 5 of them, 45 places: 1 in 40000."""
    inputs = jnp.linspace(-22.0, 0.0, 45)
    values = draws(family, inputs)
    assert np.all(np.abs(values.mean(0)) < 5 * SCALE / np.sqrt(DRAWS))
    assert np.all(np.abs(values.std(0) / SCALE - 1) < 0.12)
    correlation = np.corrcoef(values.T)
    at = {lag: np.mean(np.diag(correlation, int(2 * lag))) for lag in (1.0, 3.0, 12.0)}
    assert at[1.0] > 0.85 and 0.4 < at[3.0] < 0.65 and abs(at[12.0]) < 0.1


@pytest.mark.parametrize("family", SURFACES, ids=name)
def test_two_inputs(family):
    thickness, slope = (part.ravel() for part in jnp.meshgrid(jnp.linspace(0, 400, 6), jnp.linspace(0, 0.6, 6)))
    values = draws(family, thickness, slope)
    assert np.all(np.abs(values.std(0) / SCALE - 1) < 0.2)
    assert abs(np.corrcoef(values[:, 0], values[:, -1])[0, 1]) < 0.15


@pytest.mark.parametrize("length", [1.5, 3.0, 6.0])
def test_a_gaussian_process_has_the_covariance_that_it_says(length):
    inputs = jnp.linspace(*RANGE, 40)
    family = GaussianProcess(RANGE, 1.0, length)
    features = np.asarray(jax.vmap(lambda one: family(one, inputs))(jnp.eye(family.size)))
    r = np.sqrt(5) * np.abs(np.subtract.outer(inputs, inputs)) / length
    assert np.max(np.abs(features.T @ features - (1 + r + r**2 / 3) * np.exp(-r))) < 0.05


def test_a_gaussian_process_reaches_over_its_range():
    family = GaussianProcess((0.0, 10.0), 1.0, 2.0, shortest=0.5, longest=4.0)
    assert family.widths[0] >= 1.5 and family.terms[0] > GaussianProcess((0.0, 10.0), 1.0, 2.0).terms[0]


def test_the_basis_of_a_spline_adds_up_to_one_and_repeats_lines():
    family = Spline((0.0, 10.0), 1.0, 3.0, knots=7)
    inputs = jnp.linspace(0.0, 10.0, 101)
    basis = family._basis(0, inputs)
    assert np.allclose(basis.sum(-1), 1.0, atol=1e-14) and np.all(basis >= 0)
    knots = (np.arange(10) - 1) * 10 / 7
    assert np.allclose(basis @ knots, inputs, atol=1e-12)


def test_sine_and_cosine_are_theirs():
    angle = jnp.linspace(-300.0, 300.0, 100_001)
    found, slopes = jax.jvp(sine_and_cosine, (angle,), (jnp.ones_like(angle),))
    expected = np.sin(angle), np.cos(angle)
    assert all(np.max(np.abs(a - b)) < 2e-13 for a, b in zip(found, expected, strict=True))
    assert all(np.max(np.abs(a - b)) < 2e-13 for a, b in zip(slopes, (expected[1], -expected[0]), strict=True))


def test_harmonics_are_sines_and_cosines():
    angle = jnp.linspace(0.0, np.pi, 1001)
    times = np.arange(1, 31)[:, None] * np.asarray(angle)
    sines, cosines = harmonics(30, angle)
    assert np.max(np.abs(sines - np.sin(times))) < 1e-11 and np.max(np.abs(cosines - np.cos(times))) < 1e-11


@pytest.mark.parametrize("family", SURFACES, ids=name)
def test_derivatives_by_weights_and_inputs(family):
    """To second order: a factor is followed along its tangent, and the gradient of that is taken."""
    weights = jnp.asarray(np.random.default_rng(2).normal(size=family.size))
    # units of about one length, so that one difference fits all
    inputs = jnp.linspace(0.3, 2.9, 7), jnp.linspace(3.1, 0.4, 7)

    def of(weights, h, s):
        return family(jnp.asarray(weights), 120.0 * jnp.asarray(h), 0.15 * jnp.asarray(s))

    check_grads(jax.jit(of), (weights, *inputs), order=2, rtol=1e-4, atol=1e-4, eps=1e-4)


def test_one_that_must_rise_rises():
    family = Spline(RANGE, SCALE, LENGTH, increasing=True)
    values = draws(family, jnp.linspace(*RANGE, 200))
    assert np.all(np.diff(values) > -1e-12)
    assert np.all(values[:, -1] > values[:, 0])
    assert np.median(values[:, -1] - values[:, 0]) == pytest.approx(2 * SCALE, rel=0.1)


@pytest.mark.parametrize("family", [*FAMILIES, Spline(RANGE, SCALE, LENGTH, increasing=True)], ids=name)
def test_beyond_the_range_a_function_stays(family):
    weights = jnp.asarray(np.random.default_rng(2).normal(size=family.size))
    outside = np.asarray(family(weights, jnp.array([-40.0, -24.0, 2.0, 10.0])))
    assert outside[0] == pytest.approx(outside[1], abs=1e-12) and outside[2] == pytest.approx(outside[3], abs=1e-12)


@pytest.mark.parametrize("family", SURFACES, ids=name)
def test_a_correction_multiplies_diffusivity_and_velocity(family):
    weights = jnp.asarray(np.random.default_rng(3).normal(size=family.size))
    ice = LocalIce(jnp.array([50.0, 200.0]), jnp.array([0.1, 0.3]) ** 2)
    law = gb.laws.Glen(2.4e-24)
    factor = np.exp(family(weights, ice.thickness, ice.slope))
    corrected = law * Correction(UnknownFunction(family, weights))
    for with_it, without in zip(corrected.mobility(ice), law.mobility(ice), strict=True):
        assert np.allclose(with_it, factor * without, rtol=1e-12)


def test_bad_ranges_are_named():
    with pytest.raises(gb.InputError, match="Spline: range 2 to -24, expected the lower end first"):
        Spline((2.0, -24.0), 1.0, 3.0)
    with pytest.raises(gb.InputError, match="GaussianProcess: 2 ranges and 1 lengths"):
        GaussianProcess(((0.0, 1.0), (0.0, 1.0)), 1.0, 3.0)
    with pytest.raises(gb.InputError, match="increasing is for one input"):
        Spline(*BOTH, increasing=True)
