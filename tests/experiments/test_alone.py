"""What a glacier says of its creep parameter, as a curve."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from alone import CENTRE, WIDTH, Curves, curve


def values(found: Curves, at: np.ndarray) -> np.ndarray:
    """The logarithm of the likelihood at places, 0 at the first."""
    of = jax.vmap(lambda x: found.log(x))
    log = np.asarray(of(at))
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
