"""What a glacier says of its flow law, as a function, and which law a choice falls on."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from law_selection import chosen, left_out
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH, Curves, curve, surface


def values(found: Curves, at: np.ndarray) -> np.ndarray:
    """The logarithm of the likelihood at places, 0 at the first."""
    log = np.asarray(jax.vmap(found.log)(at))
    return log - log[0]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_normal_likelihood_is_found_from_draws(share):
    """Prior and likelihood normal: the draws are, and the curve is the parabola, as well as 4000 draws know it."""
    place, sigma = CENTRE + 1.0, share * WIDTH
    variance = 1 / (1 / sigma**2 + 1 / WIDTH**2)
    mean = variance * (place / sigma**2 + CENTRE / WIDTH**2)
    draws = mean + np.sqrt(variance) * np.random.default_rng(0).normal(size=(2, 2000))
    at = mean + np.sqrt(variance) * np.linspace(-2, 2, 9)
    truth = -0.5 * ((at - place) / sigma) ** 2
    apart = values(curve(draws), at) - (truth - truth[0])
    # the logarithm of a density of 4000 draws, two deviations out: standard error about 0.1
    assert np.abs(apart - np.median(apart)).max() < 0.4


def test_data_that_say_nothing_give_a_level_curve():
    draws = CENTRE + WIDTH * np.random.default_rng(1).normal(size=(2, 2000))
    at = CENTRE + WIDTH * np.linspace(-2, 2, 9)
    apart = values(curve(draws), at)
    assert np.abs(apart - np.median(apart)).max() < 0.4


def test_an_upper_bound_stays_one():
    """A glacier too slow to be seen: soft ice is excluded, stiff ice is not."""
    rng = np.random.default_rng(2)
    wide = CENTRE + WIDTH * rng.normal(size=40000)
    bound = 1 / (1 + np.exp((wide - CENTRE) / 0.1))
    draws = wide[rng.uniform(size=wide.size) < bound][:4000]
    log = values(curve(draws), CENTRE + WIDTH * np.array([-2.0, -1.0, -0.4, 0.5]))
    assert np.abs(log[:3]).max() < 0.5 and log[3] < -3


def test_a_likelihood_of_the_speed_alone_is_found_from_draws_of_both():
    """Creep and sliding make one speed: what is known of it is found back, with and without sliding."""
    rng, depth = np.random.default_rng(3), 200.0
    creep = CENTRE + WIDTH * rng.normal(size=400_000)
    sliding = SLIDING_CENTRE + SLIDING_WIDTH * rng.normal(size=creep.size)
    place, sigma = CENTRE + np.log(depth / 2) + 0.5, 0.4

    def truth(creep, sliding):
        return -0.5 * ((np.logaddexp(creep + np.log(depth / 2), sliding) - place) / sigma) ** 2

    kept = np.log(rng.uniform(size=creep.size)) < truth(creep, sliding)
    found = surface(creep[kept][:6000], sliding[kept][:6000], depth)
    at = place - np.log(depth / 2) + np.array([-0.6, 0.0, 0.6])
    for share in (0.0, 0.5):
        with np.errstate(divide="ignore"):
            pairs = at + np.log(1 - share), at + np.log(depth / 2) + np.log(np.full(3, share))
        log = np.asarray(jax.vmap(found.log)(*pairs)) - truth(*pairs)
        assert np.ptp(log) < 0.5


def test_what_is_left_out_is_predicted():
    """Normal data with a normal mean: the predictive density of each from the others is known."""
    values, sigma = np.array([0.3, -0.5, 1.2, 0.1]), 0.7
    axis = np.linspace(-8, 8, 4001)
    each = -0.5 * ((values - axis[:, None]) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))
    found = left_out(each, -0.5 * axis**2)
    for i, value in enumerate(values):
        others = np.delete(values, i)
        variance = 1 / (1 + others.size / sigma**2)
        total = np.sqrt(variance + sigma**2)
        mean = variance * others.sum() / sigma**2
        exact = -0.5 * ((value - mean) / total) ** 2 - np.log(total * np.sqrt(2 * np.pi))
        assert found[i] == pytest.approx(exact, abs=1e-6)


def test_a_law_is_chosen_only_where_it_is_better_by_two_standard_errors():
    better, spread = np.full(12, 1.0), 0.2 * np.tile([1.0, -1.0], 6)
    laws = {"constant": np.zeros(12), "temperature": better + spread, "sliding": np.zeros(12)}
    assert chosen(laws) == "temperature"
    assert chosen(laws | {"sliding": better - spread}) == "cannot tell"
    assert chosen({name: np.zeros(12) + spread for name in laws}) == "cannot tell"
