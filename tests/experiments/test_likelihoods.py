"""What a glacier says of its flow law, as a function, and which law a choice falls on."""

import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from law_selection import FAMILY, chosen, predictive, shared_laws
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH, Curves, curve, stacked, surface
from shared_law import TEMPERATURES, prior_functions

pytestmark = pytest.mark.run


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
    draws = mean + np.sqrt(variance) * np.random.default_rng(0).normal(size=4000)
    at = mean + np.sqrt(variance) * np.linspace(-2, 2, 9)
    truth = -0.5 * ((at - place) / sigma) ** 2
    apart = values(curve(draws), at) - (truth - truth[0])
    # the logarithm of a density of 4000 draws, two deviations out: standard error about 0.1
    assert np.abs(apart - np.median(apart)).max() < 0.4


def test_weights_count_as_draws_do():
    """Draws from a wide normal, weighted, against draws of what the weights make of it."""
    rng = np.random.default_rng(5)
    draws = CENTRE + 0.5 * WIDTH * rng.normal(size=20_000)
    weight = np.exp(-0.5 * ((draws - CENTRE) / (0.3 * WIDTH)) ** 2)
    at = CENTRE + WIDTH * np.linspace(-0.5, 0.5, 7)
    variance = WIDTH**2 / (1 / 0.5**2 + 1 / 0.3**2)
    truth = -0.5 * (at - CENTRE) ** 2 * (1 / variance - 1 / WIDTH**2)
    apart = values(curve(draws, weight / weight.sum()), at) - (truth - truth[0])
    assert np.abs(apart - np.median(apart)).max() < 0.3


def test_data_that_say_nothing_give_a_level_curve():
    draws = CENTRE + WIDTH * np.random.default_rng(1).normal(size=4000)
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


def test_a_left_out_glacier_is_predicted_from_the_others():
    """By weighted draws as by sums over a grid: the mean of its likelihood over what the others leave."""
    rng, depth = np.random.default_rng(4), 200.0
    made = []
    for i in range(4):
        creep = CENTRE + 0.3 * i + 0.2 * rng.normal(size=3000)
        made.append(surface(creep, SLIDING_CENTRE - 1.0 + 0.5 * rng.normal(size=3000), depth))
    says = stacked(made)
    found, _ = predictive(says, np.array([-18.0, -18.0, -6.0, -6.0]), 0)
    axis = np.linspace(-4, 4, 321)
    first, second = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    numbers = {"constant": axis[:, None], "sliding": np.stack([first, second], 1)}
    for name, law in shared_laws(np.array([-18.0, -18.0, -6.0, -6.0])).items():
        if name not in numbers:
            continue
        each = np.asarray(jax.vmap(partial(law.each, says))(numbers[name]))
        total = each.sum(1) - 0.5 * (numbers[name] ** 2).sum(1)
        exact = logsumexp(total) - logsumexp(total[:, None] - each, axis=0)
        # 1000 effective draws, of whose weights the likelihood takes some away: about 0.05
        assert np.abs(found[name] - exact).max() < 0.25


def test_glaciers_of_one_temperature_share_their_creep():
    """A(T) has the family's covariance, and glaciers of one temperature have the same numbers."""
    temperatures = np.array([-18.0, -6.0, -18.0])
    law = shared_laws(temperatures)["temperature"]
    covariance = np.asarray(law.creep_by @ law.creep_by.T)
    assert np.allclose(covariance[0], covariance[2])
    drawn = prior_functions(FAMILY, 0, 20_000)[:, np.searchsorted(TEMPERATURES, temperatures)]
    # of 20000 draws: standard error of a covariance about 1 %
    assert np.allclose(covariance, np.cov(drawn.T), atol=0.06 * covariance.max())


def test_a_law_is_chosen_only_where_it_is_better_by_two_standard_errors():
    better, spread = np.full(12, 1.0), 0.2 * np.tile([1.0, -1.0], 6)
    laws = {"constant": np.zeros(12), "temperature": better + spread, "sliding": np.zeros(12)}
    assert chosen(laws) == "temperature"
    assert chosen(laws | {"sliding": better - spread}) == "cannot tell"
    assert chosen({name: np.zeros(12) + spread for name in laws}) == "cannot tell"
