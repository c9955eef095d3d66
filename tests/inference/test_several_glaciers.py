"""One law for several glaciers: names, dimensions and the report, glacier by glacier."""

import json

import jax
import numpy as np
import pytest

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.models import find_model
from glacierbayes.inference.problem import Problem
from glacierbayes.priors import temperature as temperature_priors
from glacierbayes.report import fit_statistics, write_report
from tests.small_glacier import glacier, observations, standing

pytestmark = pytest.mark.run

COLD, WARM = (glacier().with_field("temperature", t) for t in (-12.0, -2.0))
SEEN = observations(COLD, creep=3e-25), observations(WARM, creep=1.5e-24)
OPTIONS = {"balance": "LinearGradient", "end": 2002.0}


def test_every_glacier_has_its_own_sites_and_the_law_is_shared():
    problem = Problem(find_model("temperature_law"), (COLD, WARM), SEEN, OPTIONS)
    assert problem.observed == ["glacier1/velocity", "glacier2/velocity"]
    of_one = {name.removeprefix("glacier1/") for name in problem.names if name.startswith("glacier1/")}
    of_two = {name.removeprefix("glacier2/") for name in problem.names if name.startswith("glacier2/")}
    assert of_one == of_two and "thickness_scale" in of_one
    assert [name for name in problem.names if not name.startswith("glacier")] == ["creep_departure_weights"]
    assert problem.declarations.units["glacier2/thickness_scale"][0] == "1"


def test_the_law_of_a_glacier_is_that_of_its_temperature(monkeypatch):
    monkeypatch.setattr("glacierbayes.priors.run.simulate", standing)
    problem = Problem(find_model("temperature_law"), (COLD, WARM), SEEN, OPTIONS)
    found = jax.jit(problem.evaluate)(problem.prior_vector(jax.random.key(1)), jax.random.key(0))["derived"]
    low, high = temperature_priors.ICE_TEMPERATURES
    curve = temperature_priors.TYPICAL_CREEP * np.exp(np.asarray(found["creep_departure"]))
    at = np.linspace(low, high, curve.size)
    for name, temperature in (("glacier1", -12.0), ("glacier2", -2.0)):
        creep = float(found[f"{name}/creep_parameter"])
        near = np.interp(temperature, at, np.log(curve))
        assert np.log(creep) == pytest.approx(near, abs=0.1)  # linear between places 0.9 degC apart


def test_a_glacier_without_temperature_and_climate_is_refused():
    with pytest.raises(gb.InputError, match="no temperature and no climate"):
        Problem(find_model("temperature_law"), glacier(), SEEN[0], OPTIONS)


def test_as_many_observations_as_glaciers():
    with pytest.raises(gb.InputError, match="2 glaciers and 1 sets of observations"):
        Problem(find_model("temperature_law"), (COLD, WARM), SEEN[:1], OPTIONS)


def test_a_name_that_failed_is_not_left_behind():
    def broken(glacier, observations=None):
        for name, _, _ in priors.enumerate_glaciers(glacier, observations):
            with priors.scope(name):
                raise KeyError(name)

    with pytest.raises(KeyError):
        Problem(broken, COLD, None, {})
    problem = Problem(find_model("creep"), COLD, SEEN[0], OPTIONS)
    assert "thickness_scale" in problem.names and "thickness_scale" in problem.declarations.units


def test_every_glacier_has_a_subtree_and_the_report_shows_each(tmp_path, monkeypatch):
    monkeypatch.setattr("glacierbayes.priors.run.simulate", standing)
    path, settings = tmp_path / "two.nc", {"chains": 2, "draws": 4, "warmup": 4, "workers": 0, "options": OPTIONS}
    draws = gb.infer("temperature_law", (COLD, WARM), SEEN, output=path, **settings)
    shared, second = draws["posterior"], draws["glaciers/glacier2"]
    assert second["posterior"]["thickness_scale"].attrs["units"] == "1"
    assert shared["creep_departure"].dims[2:] == ("creep_departure_temperature",)
    assert list(shared["creep_departure_temperature"].attrs["data_at"]) == [-12.0, -2.0]
    velocity = second["observed_data"]["velocity"]
    assert velocity.dims == ("block", "component") and velocity.attrs["units"] == "m yr-1"
    assert np.array_equal(velocity, SEEN[1].velocity.velocity)
    assert second["constant_data"]["bed"].dims == ("y", "x")
    assert "modelled_velocity" in second["posterior_predictive"]
    assert second.attrs["balance_model"] == "LinearGradient"
    statistics = fit_statistics(path)
    assert set(statistics) == {"glacier1", "glacier2"} and statistics["glacier1"]["blocks"] > 3
    report = write_report(path, tmp_path / "report")
    assert {f"{name}_speed_maps.png" for name in ("glacier1", "glacier2")} <= {f.name for f in report.iterdir()}
    assert "unknown_functions.png" in {f.name for f in report.iterdir()}
    assert json.loads((report / "fit.json").read_text())["glacier2"]["blocks"] == statistics["glacier2"]["blocks"]
