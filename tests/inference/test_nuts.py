"""The chain's kernel by itself, and what it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.optimize import brentq

from glacierbayes.inference.engines.nuts import TRAJECTORY_LENGTH, Nuts, capped_step_size, doublings
from glacierbayes.inference.hamiltonian.adaptation import MAX_STEP_SIZE, Moments, renewal_transitions
from glacierbayes.inference.hamiltonian.integrator import STAGES, three_stages
from glacierbayes.inference.problem import Problem

ROOT = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0] * np.geomspace(0.3, 3.0, 10)


def normals(glacier, observations):
    """Ten independent standard normals."""
    numpyro.sample("z", dist.Normal(jnp.zeros(10), 1.0))


def correlated(glacier, observations):
    """Ten normals, ten times as wide in one direction as in another."""
    numpyro.sample("z", dist.MultivariateNormal(jnp.ones(10), ROOT @ ROOT.T))


def run(model, warmup: int, draws: int):
    problem = Problem(model, None, None, {})
    at = np.random.default_rng(2).normal(0.0, 1.5, 10)
    potential, gradient = jax.value_and_grad(problem.potential)(jnp.asarray(at))
    start = {"mean": np.zeros(10), "covariance": np.eye(10)}
    start |= {"starts": at[None], "potentials": np.array([potential]), "gradients": np.array([gradient])}
    chain = Nuts(problem, start, warmup)
    states = [chain.init(jax.random.key_data(jax.random.key(0)), 0)]
    for i in range(warmup + draws):
        states.append(chain.warm_up(states[-1]) if i < warmup else chain.step(states[-1]))
    return states[1:]


@pytest.mark.run
def test_warm_up_takes_no_long_step_and_the_chain_keeps_the_target():
    states = run(normals, 300, 700)
    assert max(float(state.step_size) for state in states) <= MAX_STEP_SIZE
    kept = states[300:]
    # the step size is the average of a noisy search
    acceptance = np.mean([float(state.acceptance_rate) for state in kept])
    assert 0.7 < acceptance
    assert acceptance < 0.9 or float(kept[-1].step_size) > 0.9 * MAX_STEP_SIZE
    squares = np.array([np.sum(np.square(state.z)) for state in kept])  # chi2 with 10 degrees of freedom
    assert abs(np.mean(squares) - 10) < 1.5  # 350 effective draws: six standard errors
    assert len({float(state.step_size) for state in kept}) == 1
    assert np.ptp([np.asarray(state.covariance) for state in kept], axis=0).max() == 0


@pytest.mark.run
def test_no_trajectory_is_doubled_beyond_its_length():
    for before, after in zip((states := run(normals, 60, 40)), states[1:], strict=False):
        steps, step = int(after.n_steps) // STAGES, float(before.step_size)
        assert steps == 1 or steps * step < 2 * TRAJECTORY_LENGTH + step


def test_a_step_is_no_longer_than_its_trajectory_needs():
    for step in np.geomspace(0.03, MAX_STEP_SIZE, 50):
        capped, number = (float(of(jnp.asarray(step))) for of in (capped_step_size, doublings))
        assert capped <= step
        assert (2**number - 1) * capped <= TRAJECTORY_LENGTH * (1 + 1e-12)
        assert capped == step or (2**number - 1) * capped > TRAJECTORY_LENGTH * (1 - 1e-12)
        assert doublings(jnp.asarray(capped)) == number


@pytest.mark.run
def test_a_direction_that_comes_back_to_where_it_was_is_explored():
    """One that takes half a turn a step: without a change of the step its distance from the mean would never change."""
    state = run(normals, 0, 1)[-1]
    one, none = jnp.ones(1), jnp.zeros(1)

    def reached(size):
        step = three_stages(lambda z: 0.5 * jnp.sum(z**2))
        return float(step(jnp.asarray(size), jnp.eye(1), (none, one, jnp.zeros(()), none)).z[0])

    wide = jnp.ones(10).at[0].set(np.square(brentq(reached, 2.5, 3.6) / MAX_STEP_SIZE))
    state = state._replace(step_size=jnp.asarray(MAX_STEP_SIZE), covariance=jnp.diag(wide), z=state.z.at[0].set(0.1))
    potential = lambda z: 0.5 * jnp.sum(z**2)  # noqa: E731
    value, gradient = jax.value_and_grad(potential)(state.z)
    state = state._replace(potential=value, gradient=gradient)
    step = jax.jit(lambda state: Nuts.transition(potential, state))
    squares = []
    for _ in range(1000):
        state = step(state)
        squares.append(float(state.z[0]) ** 2)
    # over 100 effective draws of a square of mean 1 and variance 2: five standard errors
    assert abs(np.mean(squares) - 1) < 0.7


def test_a_step_is_reversible_and_keeps_the_energy():
    """To second order in the step."""
    potential = lambda z: jnp.sum(jnp.cosh(z))  # noqa: E731
    step, eye = three_stages(potential), jnp.eye(3)
    z, r = jnp.array([0.3, -1.0, 0.5]), jnp.array([1.0, 0.4, -0.7])
    value, gradient = jax.value_and_grad(potential)(z)
    there = step(jnp.asarray(0.8), eye, (z, r, value, gradient))
    back = step(jnp.asarray(-0.8), eye, tuple(there))
    np.testing.assert_allclose(back.z, z, atol=1e-14)
    np.testing.assert_allclose(back.r, r, atol=1e-14)

    def error(size: float, steps: int) -> float:
        state = (z, r, value, gradient)
        for _ in range(steps):
            state = tuple(step(jnp.asarray(size), eye, state))
        return abs(float(state[2] + 0.5 * state[1] @ state[1] - value - 0.5 * r @ r))

    assert error(0.4, 4) < 1e-3
    assert error(0.2, 8) < 0.3 * error(0.4, 4)


@pytest.mark.run
def test_a_hundred_transitions_learn_a_correlated_normal():
    states = run(correlated, 100, 400)
    white = np.linalg.solve(ROOT, np.linalg.cholesky(states[-1].covariance))
    width = np.linalg.svd(white)[1]
    assert 0.75 < width.min() and width.max() < 1.33
    there = np.linalg.solve(ROOT, np.array([state.z for state in states[100:]]).T - 1.0)
    # 200 effective draws: six standard errors
    assert np.abs(there.mean(1)).max() < 6 / np.sqrt(200)
    assert abs(np.mean(np.square(there)) - 1) < 6 * np.sqrt(2 / 2000)


def test_few_draws_of_a_normal_give_its_covariance():
    draws = np.random.default_rng(1).normal(size=(40, 10)) @ ROOT.T
    moments = Moments.zero(10)
    for draw in draws:
        moments = moments.add_draw(jnp.asarray(draw), jnp.asarray(np.linalg.solve(ROOT @ ROOT.T, draw)))

    def off(covariance):
        return np.abs(np.log(np.linalg.eigvals(np.linalg.solve(ROOT @ ROOT.T, covariance)).real)).max()

    assert off(moments.covariance()) < 0.3
    assert off(np.cov(draws.T)) > 0.5


@pytest.mark.parametrize("count", [15, 60])
def test_few_draws_do_not_spoil_a_good_guess(count):
    """One off by a quarter of the variances, of Student-t with 5 degrees of freedom in sixty dimensions.

    Counted as one draw, it came out 1.4 and 1.8 times as far off.
    """
    rng = np.random.default_rng(4)
    turn, _ = np.linalg.qr(rng.normal(size=(60, 60)))
    scales = np.exp(0.125 * rng.normal(size=60))
    moments = Moments.zero(60)
    for draw in rng.standard_t(5, (count, 60)):
        gradient = 6 * draw / (5 + draw**2)
        moments = moments.add_draw(jnp.asarray(turn @ (draw * scales)), jnp.asarray(turn @ (gradient / scales)))

    def off(covariance):
        return np.log(np.linalg.eigvals(np.linalg.solve((turn * scales**2) @ turn.T, covariance)).real).std()

    assert off(moments.covariance()) < 1.25 * off(np.eye(60))


def test_a_heavy_tail_widens_the_mass():
    """Student-t with 3 degrees of freedom: its gradients say a variance of 1.5 and less, its draws more."""
    root = jnp.asarray(np.linalg.cholesky([[2.0, 0.5], [0.5, 1.0]]))
    moments = Moments.zero(2)
    for draw in np.random.default_rng(3).standard_t(3, (400, 2)):
        moments = moments.add_draw(jnp.asarray(draw), jnp.asarray(4 * draw / (3 + draw**2)))
    before = root @ moments.covariance() @ root.T
    after = moments.widen(before, root)
    drawn = root @ (moments.draws - jnp.outer(moments.draw, moments.draw) / 400) @ root.T / 400
    assert np.all(np.diagonal(after) > 1.2 * np.diagonal(before))
    np.testing.assert_allclose(np.diagonal(after), np.diagonal(drawn), rtol=0.01)
    correlation = [c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) for c in (before, after)]
    assert correlation[0] == pytest.approx(correlation[1])
    assert np.allclose(moments.widen(100 * before, root), 100 * before)


@pytest.mark.parametrize("warmup", [1, 34, 60, 500])
def test_the_last_mass_matrix_leaves_time_for_the_step(warmup):
    assert np.all(renewal_transitions(warmup)[-1:] == warmup - max(20, warmup // 5))
    assert np.all(np.diff(renewal_transitions(warmup)) >= 10)
    assert len(renewal_transitions(warmup)) == {1: 0, 34: 0, 60: 3, 500: 7}[warmup]
