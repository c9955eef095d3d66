"""Coordinates that follow a posterior along one parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.frame import Bent, frame_of
from glacierbayes.inference.mode import find_start
from glacierbayes.inference.nuts import Chain
from glacierbayes.inference.problem import Problem

SIZE = 6


def valley(glacier, observations, *, named=True):
    """`a` is standard normal, and given it every weight is normal about 4 s, 1 - 0.9 s wide; s rises from 0 to 1."""
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand((SIZE,)).to_event(1))
    s = jax.nn.sigmoid(2.0 * a)
    given, prior = dist.Normal(4.0 * s, 1.0 - 0.9 * s), dist.Normal(0.0, 1.0)
    numpyro.factor("data", jnp.sum(given.log_prob(w) - prior.log_prob(w)))
    if named:
        priors.bends("a")


def random_frame(seed: int) -> Bent:
    random = np.random.default_rng(seed)
    roots = 0.3 * random.normal(size=(3, 4, 4)) + np.eye(4)
    covariances = roots @ roots.transpose(0, 2, 1)
    return Bent(2, np.array([-1.0, 0.5, 2.0]), random.normal(size=(3, 4)), covariances)


@pytest.mark.parametrize("value", [-3.0, -0.2, 0.5, 1.4, 4.0])
def test_place_undoes_position_and_the_volume_is_that_of_the_derivative(value):
    frame, place = random_frame(0), jnp.asarray([0.3, -1.0, value, 0.8, 2.0])
    assert np.allclose(frame.place(frame.position(place)), place, atol=1e-12)

    def volume(at):
        return jnp.linalg.slogdet(jax.jacfwd(frame.position)(at))[1] - frame.log_volume(at)

    other = jnp.asarray([1.0, 1.0, 0.1, -1.0, 0.0])
    assert float(volume(place)) == pytest.approx(float(volume(other)), abs=1e-10)


def test_at_a_node_standard_normal_is_the_gaussian_there():
    frame = random_frame(1)
    derivative = jax.jacfwd(frame.position)(jnp.asarray([0.0, 0.0, 2.0, 0.0, 0.0]))
    others = np.array([0, 1, 3, 4])
    root = np.asarray(derivative)[np.ix_(others, others)]
    random = np.random.default_rng(1)
    roots = 0.3 * random.normal(size=(3, 4, 4)) + np.eye(4)
    assert np.allclose(root @ root.T, roots[2] @ roots[2].T, atol=1e-10)


def test_chains_go_along_a_bent_valley_in_few_draws_and_it_stays_what_it_is():
    """Of 1500 draws; a chain in the problem's own coordinates leans on the draw before with more than 0.8."""
    problem = Problem(valley, None, None, {})
    assert problem.bends == 0
    start = find_start(problem, seed=0, chains=1)
    chain = Chain(problem, 100, start)
    state, draws = chain.first_state(jax.random.key_data(jax.random.key(3)), 0), []
    for i in range(1600):
        state = chain.advance(state)
        if i >= 100:
            draws.append(chain.kept(state)[0])
    a, w = np.array(draws)[:, 0], np.array(draws)[:, 1:]
    lean = np.corrcoef(a[1:], a[:-1])[0, 1]
    assert lean < 0.5
    # five standard errors of as many draws as that leaves
    few = a.size * (1 - lean) / (1 + lean)
    assert abs(a.mean()) < 5 / np.sqrt(few)
    assert abs(a.var() - 1) < 5 * np.sqrt(2 / few)
    s = 1 / (1 + np.exp(-2 * a))
    away = (w - 4 * s[:, None]) / (1 - 0.9 * s[:, None])
    assert np.all(np.abs(away.mean(0)) < 5 / np.sqrt(few))
    assert np.all(np.abs(away.var(0) - 1) < 5 * np.sqrt(2 / few))
    # what is written has the density of the model
    z, potential = chain.kept(state)
    assert float(potential) == pytest.approx(float(problem.potential(z)), abs=1e-8)


def test_without_the_name_the_coordinates_are_the_problem_s():
    problem = Problem(valley, None, None, {"named": False})
    assert not isinstance(frame_of(find_start(problem, seed=0)), Bent)


def test_a_name_that_is_not_a_sampled_number_is_refused():
    def model(glacier, observations):
        valley(glacier, observations, named=False)
        priors.bends("w")

    with pytest.raises(gb.InputError, match=r'bends\("w"\).*one of a, w'):
        Problem(model, None, None, {})
