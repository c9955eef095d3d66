"""A kind of data that a user defines: sampled, stored, checked, compared and drawn by the public surface alone."""

import json
import pickle

import arviz as az
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.processes.pickling import dumps

from ..sampling import sample

pytestmark = pytest.mark.run


class Snowline(gb.Observation):
    """Altitude of the snowline at the end of summer, with a bias of the images."""

    altitude: jax.Array
    sigma: jax.Array
    summers: tuple = eqx.field(static=True)
    name: str = eqx.field(static=True, default="snowline")
    units = "m"
    long_name = "snowline altitude at the end of summer"
    dims = ("summer",)
    statistics = ("coverage_90", "median_difference", "root_mean_square")

    @property
    def observed(self):
        return self.altitude

    @property
    def coordinates(self):
        return {"summer": gb.observations.Variable(("summer",), self.summers, "yr", "summer")}

    @property
    def constants(self):
        label = "standard error of the snowline"
        return {f"{self.name}_sigma": gb.observations.Variable(self.dims, 2 * jnp.asarray(self.sigma) / 2, "m", label)}

    def sample_errors(self):
        prior = dist.Normal(0.0, 10.0)
        return {"bias": priors.sample(f"{self.name}_bias", prior, "m", "bias of the images")}

    def predict(self, result):
        return result["equilibrium_line"] * jnp.ones(len(self.summers))

    def expectation(self, predicted, errors):
        return predicted + errors["bias"]

    def distribution(self, predicted, errors):
        return dist.Normal(predicted, self.sigma)


def altitudes(model, observations=None):
    line = priors.sample("equilibrium_line", dist.Normal(2900.0, 200.0), "m", "equilibrium line altitude")
    result = {"equilibrium_line": line}
    priors.observe(result, observations)
    return result


def snowline(name: str = "snowline", summers: int = 12, seed: int = 0) -> Snowline:
    noise = np.random.default_rng(seed).normal(0.0, 30.0, summers)
    return Snowline(jnp.asarray(3010.0 + noise), jnp.full(summers, 30.0), tuple(range(2001, 2001 + summers)), name)


@pytest.fixture(scope="module")
def draws():
    seen = gb.Observations(others=(snowline(), snowline("other_snowline", 5, 1)))
    return sample(altitudes, None, seen, draws=400)


def test_it_is_stored_with_units_dimensions_and_constants(draws):
    found = draws["observed_data"]["snowline"]
    assert found.dims == ("summer",) and found.attrs["units"] == "m"
    assert found["summer"].values.tolist() == list(range(2001, 2013)) and found["summer"].attrs["units"] == "yr"
    modelled = draws["posterior_predictive"]["modelled_snowline"]
    assert modelled.dims == ("chain", "draw", "summer") and modelled.attrs["units"] == "m"
    assert draws["constant_data"]["snowline_sigma"].values.tolist() == [30.0] * 12
    assert draws["posterior"]["snowline_bias"].attrs["units"] == "m"
    # the second of the kind has fewer summers, and a dimension of its own
    assert draws["observed_data"]["other_snowline"].dims == ("other_snowline_summer",)
    assert draws["constant_data"]["other_snowline_sigma"].shape == (5,)


def test_it_is_sampled_and_checked(draws):
    seen = [3010.0 + np.random.default_rng(seed).normal(0.0, 30.0, n) for seed, n in ((0, 12), (1, 5))]
    # conjugate: a normal prior, two biases, normal data
    precision = 1 / 200**2 + sum(1 / (30**2 / values.size + 10**2) for values in seen)
    mean = (2900 / 200**2 + sum(v.mean() / (30**2 / v.size + 10**2) for v in seen)) / precision
    line = draws["posterior"]["equilibrium_line"].values
    ess = float(az.ess(draws, var_names=["equilibrium_line"])["equilibrium_line"])
    assert abs(line.mean() - mean) < 4 * precision**-0.5 / np.sqrt(ess)
    answer = gb.check(draws)
    assert {"equilibrium_line", "snowline_bias", "other_snowline_bias"} == set(answer.table.index)
    assert answer.ok


def test_it_is_compared_by_leave_one_out(draws):
    assert draws["log_likelihood"]["snowline"].dims == ("chain", "draw", "summer")
    assert az.loo(draws, var_name="snowline").n_data_points == 12


def test_it_is_written_and_drawn(draws, tmp_path):
    draws.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    folder = gb.report.write_report(tmp_path / "posterior.nc", tmp_path / "report")
    statistics = json.loads((folder / "fit.json").read_text())["snowline"]
    assert set(statistics) == set(Snowline.statistics) and 0.7 <= statistics["coverage_90"] <= 1.0
    assert 15.0 < statistics["root_mean_square"] < 45.0  # of twelve errors of 30 m
    assert 'src="observed_data.png"' in (folder / "index.html").read_text()


def test_the_figure_holds_every_datum_on_its_own_axes(draws):
    (section,) = (one for one in gb.report.registered_sections() if one.name == "observed_data")
    first, second = section.draw(draws).axes
    (observed,) = (line for line in first.lines if line.get_label() == "observed")
    assert np.array_equal(observed.get_xdata(), range(2001, 2013))
    assert np.array_equal(observed.get_ydata(), draws["observed_data"]["snowline"])
    assert first.get_ylabel() == "snowline altitude at the end of summer [m]"
    assert len(second.lines[0].get_xdata()) == 5


def test_two_of_one_name_are_refused():
    with pytest.raises(gb.InputError, match="two observations have the name 'snowline'"):
        gb.Observations(others=(snowline(), snowline()))


def test_what_is_no_observation_is_refused():
    with pytest.raises(gb.InputError, match="others holds a float"):
        gb.Observations(others=(1.0,))


def test_a_part_of_the_contract_that_is_missing_is_named():
    class Nameless(gb.Observation):
        observed: jax.Array

        def predict(self, result):
            return result

        def distribution(self, predicted, errors):
            return dist.Normal(predicted, 1.0)

    with pytest.raises(gb.InputError, match="Nameless: has no name, units, long_name"):
        Nameless(jnp.ones(2))


def test_it_is_sampled_by_infer(tmp_path):
    seen = gb.Observations(others=(snowline(),))
    draws = gb.infer(altitudes, None, seen, chains=2, draws=20, warmup=20, output=tmp_path / "posterior.nc")
    assert draws["observed_data"]["snowline"].attrs["units"] == "m"
    assert draws["posterior_predictive"]["modelled_snowline"].dims == ("chain", "draw", "summer")
    assert draws["log_likelihood"]["snowline"].shape == (2, 20, 12)
    assert draws["prior_predictive"]["snowline"].dims == ("chain", "draw", "summer")
    assert "snowline_bias" in draws["prior"]
    assert gb.check(draws).failed_solves == 0


def test_it_travels_to_another_process_by_value():
    seen = jax.tree.map(np.asarray, gb.Observations(others=(snowline(),)))
    (back,) = pickle.loads(dumps(seen)).kinds
    assert back.name == "snowline" and back.summers == snowline().summers
    assert np.array_equal(back.observed, snowline().observed)
