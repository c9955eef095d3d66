"""Where the chains start."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.mode import find_start


def two_modes(glacier, observations):
    """A density with a low mode at the prior's centre and one 4 higher at z = 1.5, a valley between them."""
    z = numpyro.sample("z", dist.Normal(0.0, 1.0))
    low = -0.5 * (z / 0.2) ** 2
    high = 5.0 - 0.5 * ((z - 1.5) / 0.3) ** 2
    numpyro.factor("data", jnp.logaddexp(low, high))


def test_the_higher_of_two_modes_is_found():
    problem = Problem(two_modes, None, None, {})
    start = find_start(problem, seed=0)
    gradient = jax.grad(problem.potential)
    assert float(start["mode"][0]) == pytest.approx(1.5 / 1.09, abs=0.01)  # drawn to the prior's centre
    assert abs(float(gradient(jnp.asarray(start["mode"]))[0])) < 0.1
    # the curvature of prior and factor together
    assert float(start["covariance"][0, 0]) == pytest.approx(1 / (1 + 1 / 0.3**2), rel=0.01)


def test_eighty_weights_tied_together_come_to_the_mode():
    """A random walk of small steps, seen at its end: a Gaussian whose mode is a linear solve, but far to go."""

    def walk(glacier, observations):
        w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand((80,)))
        numpyro.factor("data", -0.5 * (1e4 * jnp.sum(jnp.diff(w) ** 2) + 100.0 * (w[-1] - 2.0) ** 2))

    problem = Problem(walk, None, None, {})
    steps, end = np.diff(np.eye(80), axis=0), np.eye(80)[-1]
    precision = np.eye(80) + 1e4 * steps.T @ steps + 100.0 * np.outer(end, end)
    exact = problem.potential(jnp.asarray(np.linalg.solve(precision, 200.0 * end)))
    found = problem.potential(jnp.asarray(find_start(problem, seed=0)["mode"]))
    assert float(found - exact) < 0.1  # where the search gave up after one round: 55


@pytest.mark.parametrize(
    ("data", "said"),
    [(lambda z: jnp.sqrt(jnp.maximum(z, 0.0) * 0.0), "gradient of its density"), (lambda z: z + jnp.nan, "32 draws")],
    ids=["no gradient", "no density"],
)
def test_a_model_without_a_density_or_its_gradient_is_refused(data, said):
    def model(glacier, observations):
        numpyro.factor("data", data(numpyro.sample("z", dist.Normal(0.0, 1.0))))

    with pytest.raises(gb.InputError, match=said):
        find_start(Problem(model, None, None, {}), seed=0)


def test_chains_start_about_the_mode_and_the_gradient_there_is_known():
    def wide_and_narrow(glacier, observations):
        numpyro.sample("z", dist.Normal(jnp.array([3.0, -1.0]), jnp.array([1.0, 0.01])))

    problem = Problem(wide_and_narrow, None, None, {})
    start = find_start(problem, seed=0, chains=200)
    assert len(np.unique(start["starts"], axis=0)) == 200
    # 200 draws: five standard errors
    assert np.allclose(start["starts"].std(0) / [1.0, 0.01], 1.5, rtol=5 / np.sqrt(400))
    potential, gradient = jax.vmap(jax.value_and_grad(problem.potential))(jnp.asarray(start["starts"]))
    assert np.allclose(start["potentials"], potential)
    assert np.allclose(start["gradients"], gradient)


def test_the_vector_is_in_the_order_of_the_names():
    def model(glacier, observations):
        numpyro.sample("b", dist.Normal(10.0, 0.01))
        numpyro.sample("a", dist.Normal(-10.0, 0.01))

    problem = Problem(model, None, None, {})
    drawn = np.asarray(problem.prior_vector(jax.random.key(0)))
    assert problem.names == ["a", "b"]
    assert np.allclose(drawn, [-10.0, 10.0], atol=0.1)  # ten standard deviations
