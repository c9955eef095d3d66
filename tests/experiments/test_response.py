"""The tables of the twin experiments: what they interpolate, and the likelihood that they enter."""

import sys
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes.observations.correlated import CorrelatedStudentT

from ..inference.small import glacier

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import response
import twins

ICE = glacier().with_field("temperature", -5.0)
SIGMA = 5.0


def seen(block_size: float) -> gb.Observations:
    speeds = [np.full(ICE.bed.shape, v) + 0.01 * np.arange(ICE.bed.size).reshape(ICE.bed.shape) for v in (8.0, 1.0)]
    velocity = gb.Velocity.from_grid(*speeds, ICE, response.IMAGES, sigma=SIGMA, block_size=block_size)
    return gb.Observations(velocity, gb.GeodeticBalance(-0.8, 0.13, *response.YEARS))


def test_the_density_of_a_batch_is_that_of_its_glaciers():
    """Of two with different numbers of blocks, one padded."""
    observations = seen(400.0), seen(800.0)
    batch = response.untabulated((ICE, ICE), observations, (0.02, 0.02))
    rng = np.random.default_rng(0)
    shown = rng.normal(6.0, 3.0, batch.coefficients.shape)
    shown[..., -1] = -0.5
    batch = eqx.tree_at(lambda b: b.coefficients, batch, jnp.asarray(shown))
    discrepancy, length, freedom = jnp.array([7.0, 12.0]), jnp.array([600.0, 1500.0]), jnp.array([4.0, 30.0])
    density = jnp.array([850.0, 900.0])
    found = float(batch.log_density(jnp.zeros((2, 4)), SIGMA, (discrepancy, length, freedom), density))
    expected = 0.0
    for i, one in enumerate(observations):
        v = one.velocity
        modelled = jnp.asarray(shown[i].ravel()[:-1].reshape(-1, 2)[: len(v.velocity)])
        apart = jnp.hypot(v.x[:, None] - v.x, v.y[:, None] - v.y)
        covariance = discrepancy[i] ** 2 * jnp.exp(-apart / length[i]) + SIGMA**2 * jnp.eye(len(apart))
        student = CorrelatedStudentT(freedom[i], modelled, jnp.stack([covariance] * 2))
        expected += float(student.log_prob(v.velocity))
        balance = -0.5 * 850.0 / density[i]
        expected += float(dist.Normal(balance, one.geodetic.sigma_without_density).log_prob(one.geodetic.balance)[0])
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_table_says_what_a_run_would():
    observations = seen(400.0)
    middle = np.array([np.log(2e-24), 0.0, -0.5, 0.0065])
    half = np.array([0.5, 0.05, 0.3, 0.001])
    table = response.tabulate(ICE, observations, middle - half, middle + half, (5, 3, 3, 3))
    batch = response.untabulated((ICE,), (observations,), (0.02,))
    fields = tuple(jnp.asarray(part[None]) for part in (middle, half, table))
    batch = eqx.tree_at(lambda b: (b.middle, b.half, b.coefficients), batch, fields)
    at = middle + half * np.array([0.3, -0.6, 0.5, 0.7])
    velocity, change, outside = batch.seen(jnp.asarray(at[None]))
    true = response.exact(ICE, observations, at)
    assert np.abs(np.asarray(velocity).ravel() - true[:-1]).max() < 0.01 * np.abs(true[:-1]).max()
    assert float(change[0]) == pytest.approx(true[-1], abs=0.005)
    assert float(outside[0]) == 0.0


def test_the_twins_law_is_what_the_study_says():
    """At most a factor 3 from the table, one kink, at -5 degC."""
    t = np.linspace(-22.0, 0.0, 2201)
    departure = twins.true_departure(t)
    assert np.abs(departure).max() < np.log(3.0)
    bend = np.abs(np.diff(departure, 2))
    assert t[1 + np.argmax(bend)] == pytest.approx(-5.0) and np.sort(bend)[-2] < 0.1 * bend.max()
