"""What enters no run is found, and drawn by itself as the posterior has it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from glacierbayes.data.synthetic import valley_glacier
from glacierbayes.inference.engines.nuts import Nuts
from glacierbayes.inference.models import find_model
from glacierbayes.inference.nuisance.gibbs import update_nuisance
from glacierbayes.inference.nuisance.split import Split
from glacierbayes.inference.problem import Problem

DATA = jnp.asarray([0.9, 1.4, 0.7, 1.6])


def run(rate):
    """Twenty steps of decay, as a glacier's run is a loop."""
    return jax.lax.fori_loop(0, 20, lambda _, x: x * (1 - rate / 20), 2.0)


def model(glacier, observations):
    rate = numpyro.sample("rate", dist.LogNormal(-0.5, 0.5))
    sigma = numpyro.sample("sigma", dist.LogNormal(-1.0, 1.0))
    numpyro.sample("freedom", dist.Gamma(2.0, 0.1))
    numpyro.sample("data", dist.Normal(run(rate), sigma), obs=DATA)


def exact(rate_axis, sigma_axis):
    """Log density of log rate and log sigma on a grid, up to a constant."""
    expected = np.array([float(run(np.exp(z))) for z in rate_axis])[:, None]
    squares = ((np.asarray(DATA) - expected[..., None]) ** 2).sum(-1)
    log = -0.5 * ((rate_axis[:, None] + 0.5) / 0.5) ** 2 - 0.5 * (sigma_axis + 1.0) ** 2
    return log - DATA.size * sigma_axis - 0.5 * squares / np.exp(2 * sigma_axis)


def test_parameters_of_the_error_enter_no_run():
    split = Split(Problem(model, None, None, {}))
    assert split.names == ["freedom", "sigma"]
    assert split.nuisance.tolist() == [0, 2]  # of freedom, rate, sigma


def test_a_parameter_of_both_is_not_cheap():
    def both(glacier, observations):
        rate = numpyro.sample("rate", dist.LogNormal(-0.5, 0.5))
        numpyro.sample("data", dist.Normal(run(rate), rate), obs=DATA)

    assert Split(Problem(both, None, None, {})).names == []


def test_what_a_model_prints_is_in_nobodys_way():
    def talking(glacier, observations):
        jax.debug.print("here {}", 1)
        model(glacier, observations)

    split, z = Split(Problem(talking, None, None, {})), jnp.zeros(3)
    assert split.names == ["freedom", "sigma"]
    assert np.isfinite(split.potential(z, split.run(z)))


def test_the_parts_are_the_whole():
    problem = Problem(model, None, None, {})
    split, rng = Split(problem), np.random.default_rng(0)
    for _ in range(5):
        z = jnp.asarray(rng.normal(size=3))
        there = z.at[split.nuisance].set(rng.normal(size=2))
        assert np.isclose(split.potential(there, split.run(z)), problem.potential(there), rtol=1e-12, atol=1e-12)


@pytest.mark.run
def test_a_shipped_model_is_split():
    twin = valley_glacier()
    problem = Problem(find_model("creep_and_sliding"), twin.glacier, twin.observations, {})
    split = Split(problem)
    assert split.names == [
        "velocity_correlation_length",
        "velocity_degrees_of_freedom",
        "velocity_discrepancy",
        "volume_change_density",
    ]
    z = jax.jit(problem.prior_vector)(jax.random.key(0))
    there = z.at[split.nuisance].add(0.3)
    whole, part = jax.jit(problem.potential)(there), jax.jit(split.potential)(there, jax.jit(split.run)(z))
    assert np.isclose(whole, part, rtol=1e-10)
    assert np.isfinite(whole)


@pytest.mark.run
def test_an_update_draws_from_the_conditional():
    problem = Problem(model, None, None, {})
    split, axis = Split(problem), np.linspace(-6, 4, 2001)
    start = jnp.asarray([1.0, -0.5, 2.0])
    step = jax.jit(lambda z, key: update_nuisance(split, key, z, jnp.eye(3)))
    _, draws = jax.lax.scan(lambda z, key: (step(z, key)[0],) * 2, start, jax.random.split(jax.random.key(1), 6000))
    assert np.all(draws[:, 1] == start[1])
    density = np.exp(exact(np.array([-0.5]), axis)[0])
    mean = (density @ axis) / density.sum()
    sd = np.sqrt((density @ (axis - mean) ** 2) / density.sum())
    # some thousand effective draws: five standard errors
    assert abs(np.mean(draws[:, 2]) - mean) < 5 * sd / np.sqrt(2000)
    assert abs(np.std(draws[:, 2]) / sd - 1) < 0.15


@pytest.mark.run
def test_a_chain_and_what_is_kept_of_it_have_the_target():
    problem = Problem(model, None, None, {})
    at = np.array([1.0, -0.5, -1.0])
    potential, gradient = jax.value_and_grad(problem.potential)(jnp.asarray(at))
    start = {"mean": at, "covariance": np.diag([1.0, 0.1, 0.2]), "starts": at[None]}
    start |= {"potentials": np.array([potential]), "gradients": np.array([gradient])}
    chain = Nuts(problem, start, 300)
    states = [chain.init(jax.random.key_data(jax.random.key(0)), 0)]
    for i in range(1800):
        states.append(chain.warm_up(states[-1]) if i < 300 else chain.step(states[-1]))
    draws = np.array([state.z for state in states[301:]])
    kept = np.array([chain.record(state).vector for state in states[301:]])
    assert np.all(kept[:, 1] == draws[:, 1])  # enters a run
    rate, sigma = np.linspace(-3, 2, 301), np.linspace(-4, 4, 401)
    density = np.exp(exact(rate, sigma))
    density /= density.sum()
    for axis, other, column in ((rate, 1, 1), (sigma, 0, 2)):
        share = density.sum(other)
        mean = share @ axis
        sd = np.sqrt(share @ (axis - mean) ** 2)
        # some 500 effective draws: five standard errors
        for values in (draws[:, column], kept[:, column]):
            assert abs(values.mean() - mean) < 0.22 * sd
            assert abs(values.std() / sd - 1) < 0.25
    last = states[-1]
    value, gradient = jax.value_and_grad(problem.potential)(last.z)
    assert np.isclose(last.potential, value) and np.allclose(last.gradient, gradient)
    draw = chain.record(last)
    assert np.isclose(draw.statistics["lp"], -problem.potential(draw.vector))

    # trajectories too short to get about, as with a mass matrix of a narrow place
    slow = [last._replace(covariance=last.covariance / 50)]
    for _ in range(400):
        slow.append(chain.step(slow[-1]))

    def lean(states):
        """Correlation of a draw of sigma with the one before."""
        values = np.array([z[2] for z in states])
        return np.corrcoef(values[:-1], values[1:])[0, 1]

    leans = lean([chain.record(state).vector for state in slow]), lean([state.z for state in slow])
    assert leans[0] < 0.5 * leans[1]
