"""Weighted draws have the moments of what they are drawn for, where they are known."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import distributions as dist

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from likelihoods import CENTRE, WIDTH, curve
from single_glacier import posterior_and_curve
from weighing import Rounds, weigh

from glacierbayes.inference.problem import Problem

pytestmark = pytest.mark.run

SIGMA = 0.3


def _line(data, _=None):
    numbers = numpyro.sample("numbers", dist.Normal(jnp.zeros(6), 1.0))
    numpyro.sample("data", dist.Normal(jnp.cumsum(numbers), SIGMA), obs=data)


def line(data):
    return Problem(_line, data, None, {})


def _bend(place, _=None):
    across = numpyro.sample("across", dist.Normal(0.0, 1.0))
    along = numpyro.sample("along", dist.Normal(0.0, 3.0))
    numpyro.factor("data", -0.5 * ((along - across**2 - place) / 0.2) ** 2)


def bend(place):
    return Problem(_bend, place, None, {})


def moments(drawn):
    mean = drawn.weight @ drawn.z
    return mean, (drawn.weight[:, None] * (drawn.z - mean)).T @ (drawn.z - mean)


def test_a_normal_posterior_of_six_numbers():
    data = np.array([0.5, 1.0, 0.2, -0.4, 0.3, 2.0])
    drawn = weigh(line, jnp.asarray(data), 0)
    sums = np.tril(np.ones((6, 6)))
    covariance = np.linalg.inv(np.eye(6) + sums.T @ sums / SIGMA**2)
    mean = covariance @ sums.T @ data / SIGMA**2
    found, spread = moments(drawn)
    assert drawn.ess >= 1000 and drawn.k_hat < 0.7
    # five standard errors of 1000 draws
    assert np.all(np.abs(found - mean) < 5 / np.sqrt(1000) * np.sqrt(np.diag(covariance)))
    assert np.allclose(spread, covariance, atol=5 * np.sqrt(2 / 1000) * np.diag(covariance).max())


def test_a_bend_is_followed():
    """Two long arms that a normal distribution at the mode does not see."""
    drawn = weigh(bend, jnp.asarray(-1.0), 0)
    axis = np.linspace(-12, 12, 1201)
    across, along = np.meshgrid(axis, axis, indexing="ij")
    density = np.exp(-0.5 * (across**2 + (along / 3) ** 2 + ((along - across**2 + 1.0) / 0.2) ** 2))
    density /= density.sum()
    mean = np.array([(density * across).sum(), (density * along).sum()])  # in the order of the names
    sd = np.sqrt([(density * across**2).sum() - mean[0] ** 2, (density * along**2).sum() - mean[1] ** 2])
    found, spread = moments(drawn)
    assert np.all(np.abs(found - mean) < 5 / np.sqrt(1000) * sd)
    assert np.allclose(np.sqrt(np.diag(spread)), sd, rtol=0.15)


def _sides(square, _=None):
    place = numpyro.sample("place", dist.Normal(0.0, 1.0))
    numpyro.sample("data", dist.Normal(place**2, 0.1), obs=square)


def sides(square):
    return Problem(_sides, square, None, {})


def test_two_modes_are_both_found():
    """A square tells no sign: half of the posterior on each side, with nothing between."""
    drawn = weigh(sides, jnp.asarray(2.0), 0, along="place")
    assert abs(drawn.weight @ (drawn.z[:, 0] > 0) - 0.5) < 0.1  # six standard errors of 1000 draws
    assert drawn.k_hat < 0.7


def test_the_same_seed_gives_the_same_draws():
    first, again = (weigh(bend, jnp.asarray(-1.0), 3) for _ in range(2))
    assert np.array_equal(first.z, again.z) and np.array_equal(first.weight, again.weight)


SPEED, ERRORS = 1.5, (0.3, 0.3)  # what is seen, and its error in two parts, one of them latent


def _slow(speed, _=None):
    log_creep = numpyro.sample("log_creep", dist.Normal(CENTRE, WIDTH))
    shared = numpyro.sample("shared", dist.Normal(0.0, 1.0))
    numpyro.sample("speed", dist.Normal(jnp.exp(log_creep - CENTRE) + ERRORS[0] * shared, ERRORS[1]), obs=speed)


def slow(speed):
    return Problem(_slow, speed, None, {})


def test_what_is_said_of_stiff_ice_is_level():
    """The likelihood is known: exp(-6) of its peak for all ice that is too stiff to flow, where no draw of the
    posterior comes."""
    posterior = posterior_and_curve(Rounds(slow, jnp.asarray(SPEED), 0, "log_creep"), at=0, enough=1000)
    creep = CENTRE + WIDTH * np.array([0.0, -3.0, -2.0, -1.0, 0.3])
    truth = -0.5 * ((np.exp(creep - CENTRE) - SPEED) / np.hypot(*ERRORS)) ** 2
    found = np.asarray(posterior.curve.log(creep))
    assert posterior.k_hat < 0.7
    assert truth[1] - truth[-1] < -5
    # the logarithm of a density of 1000 draws: standard error 0.1 in the middle, 0.3 at two deviations
    assert np.all(np.abs(found - found[0] - truth + truth[0]) < 1.0)
    drawn_on = np.asarray(curve(posterior.log_creep, posterior.weight).log(creep))
    assert np.max(np.abs(drawn_on - drawn_on[0] - truth + truth[0])) > 2
