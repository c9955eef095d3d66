"""The Gaussian approximation: exact where it can be, and found out where it cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

import glacierbayes as gb
from glacierbayes.draws.importance import distance
from glacierbayes.inference.engines.svi import fit

CENTRE = np.array([0.5, -1.0, 0.2])
COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 0.8, -0.3], [0.0, -0.3, 0.5]])


def normals(glacier, observations):
    """A correlated normal."""
    numpyro.sample("z", dist.MultivariateNormal(jnp.asarray(CENTRE), jnp.asarray(COVARIANCE)))


def funnel(glacier, observations):
    """A scale of which the width of another depends: no Gaussian."""
    scale = numpyro.sample("scale", dist.Normal(0.0, 1.5))
    numpyro.sample("x", dist.Normal(0.0, jnp.exp(scale)))


@pytest.mark.run
def test_the_nearest_gaussian_to_a_gaussian_is_itself():
    inverse = jnp.linalg.inv(jnp.asarray(COVARIANCE))

    def potential(z):
        return 0.5 * (z - CENTRE) @ inverse @ (z - CENTRE)

    found, bounds = fit(potential, 3, 1500, jax.random.key(0))
    # the estimator of the gradient vanishes there: no noise is left
    np.testing.assert_allclose(found.mean, CENTRE, atol=1e-3)
    np.testing.assert_allclose(found.root @ found.root.T, COVARIANCE, atol=3e-3)
    exact = 1.5 * np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(COVARIANCE)[1]  # the evidence
    assert abs(bounds[-25:].mean() - exact) < 0.5  # a hundred draws of variance 1.5: four standard errors


@pytest.mark.run
def test_a_good_start_in_many_dimensions_is_not_thrown_away():
    """The standard normal is near a product of Student-t: the bound, known to about 1, stays."""

    def potential(z):
        return 3.0 * jnp.sum(jnp.log1p(z**2 / 5))

    bounds = fit(potential, 120, 400, jax.random.key(0))[1].reshape(-1, 25).mean(1)
    assert min(bounds) > max(bounds) - 6.0  # five standard errors


@pytest.mark.run
def test_a_gaussian_posterior_is_vouched_for(tmp_path):
    draws = gb.infer(normals, None, None, method="svi", workers=0, warmup=600, draws=400, output=tmp_path / "svi.nc")
    answer = gb.check(draws)
    assert answer.ok and answer.distance is not None and answer.distance.k_hat < 0.5
    assert draws["posterior"]["z"].shape == (1, 400, 3)
    assert "Pareto k-hat" in str(answer) and not (tmp_path / "svi.nc.parts").exists()
    assert (tmp_path / "svi.nc").is_file() and draws["sample_stats"]["log_weight"].attrs["units"] == "1"


@pytest.mark.run
def test_a_funnel_is_not(tmp_path):
    draws = gb.infer(funnel, None, None, method="svi", workers=0, warmup=600, draws=400, output=tmp_path / "svi.nc")
    answer = gb.check(draws)
    assert not answer.ok and "too far from the posterior" in answer.problems[0] and "nuts" in answer.problems[0]
    more = gb.infer(
        funnel, None, None, method="svi", workers=0, warmup=600, draws=450, output=tmp_path / "svi.nc", resume=True
    )
    kept = draws["posterior"]["scale"].values
    np.testing.assert_array_equal(more["posterior"]["scale"].values[:, :400], kept)


@pytest.mark.parametrize("target", [0.5, 0.0])
def test_weights_tell_how_far_a_mean_is_off(target):
    x = np.random.default_rng(0).normal(size=(1, 4000))
    posterior = {"x": xr.DataArray(x, dims=("chain", "draw"))}
    weights = xr.DataArray(target * x - target**2 / 2, dims=("chain", "draw"))
    found = distance(posterior, weights + 1e-9 * x)
    assert found.k_hat < 0.7 and found.name == "x"
    assert abs(found.shift - target) < 0.08  # 3000 effective draws: four standard errors
    assert found.spread < 1.1


def test_weights_tell_that_a_width_is_off():
    x = np.random.default_rng(0).normal(size=(1, 4000))
    posterior = {"x": xr.DataArray(x, dims=("chain", "draw"))}
    wider = xr.DataArray(x**2 / 2 - (x / 2) ** 2 / 2, dims=("chain", "draw"))  # of a normal twice as wide
    found = distance(posterior, wider)
    assert found.k_hat > 0.6 and found.spread > 1.3
