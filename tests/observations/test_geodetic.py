"""Geodetic balance: the formulas of the density, the likelihood, the dates."""

import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import scipy.stats

from glacierbayes.errors import InputError
from glacierbayes.laws import Glen
from glacierbayes.observations.geodetic import GeodeticBalance
from glacierbayes.observations.observations import Observations
from glacierbayes.solvers.history import History

from ..glaciers import valley

BALANCE = GeodeticBalance([-1.2, -0.8], [0.13, 0.2], start=(2000.0, 2010.0), end=(2020.0, 2020.0))


@pytest.fixture
def history() -> History:
    glacier, zero = valley(), jnp.zeros(())
    ice = jnp.where(glacier.mask, glacier.thickness + 50.0, 0.0)
    thickness = jnp.stack([ice, ice - 10.0 * glacier.mask, ice - 30.0 * glacier.mask])
    return History((2000.0, 2010.0, 2020.0), thickness, zero, zero, zero, jnp.array(0), glacier, Glen(1e-24))


def test_predict(history):
    # 30 m of ice in 20 years, 20 m in the last 10
    change = np.array([-30.0 / 20, -20.0 / 10]) * 0.9
    predicted = BALANCE.predict(history)
    assert np.allclose(predicted, change, rtol=1e-12)
    assert np.allclose(BALANCE.expectation(predicted, {"density": 900.0}), change * 850 / 900, rtol=1e-12)


def test_sigma_without_density():
    expected = np.sqrt(np.array([0.13, 0.2]) ** 2 - (60 / 850 * np.array([1.2, 0.8])) ** 2)
    assert np.allclose(BALANCE.sigma_without_density, expected, rtol=1e-13)
    # one that is all density keeps a half
    assert float(GeodeticBalance(-2.0, 0.1, 2000, 2020).sigma_without_density[0]) == pytest.approx(0.05)


def test_likelihood_is_normal(history):
    trace = numpyro.handlers.trace(lambda: BALANCE.observe(history, {"density": 870.0})).get_trace()
    site = trace["geodetic_balance"]
    published = np.asarray(BALANCE.predict(history)) * 850 / 870
    expected = scipy.stats.norm.logpdf(BALANCE.balance, published, BALANCE.sigma_without_density)
    assert np.allclose(site["fn"].log_prob(site["value"]), expected, rtol=1e-12)
    assert np.allclose(trace["modelled_balance"]["value"], published, rtol=1e-15)


def test_dates():
    assert BALANCE.years == (2000.0, 2010.0, 2020.0)
    assert Observations(geodetic=BALANCE).years == (2000.0, 2010.0, 2020.0)
    assert Observations().years == ()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((-1.0, 0.0, 2000, 2020), "sigma is .* expected positive"),
        ((-1.0, jnp.nan, 2000, 2020), "sigma is .* expected positive"),
        ((-1.0, 0.1, 2020, 2000), "do not run forward"),
        (([-1.0, -0.5], 0.1, 2000, 2020), "one balance, sigma, start and end"),
        (([-1.0, -0.5], [0.1, 0.1], 2000, (2010, 2020)), "one balance, sigma, start and end"),
        ((jnp.nan, 0.1, 2000, 2020), "balance is .* expected"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        GeodeticBalance(*arguments)
