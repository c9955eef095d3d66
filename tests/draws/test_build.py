"""The tree: groups, dimensions, units; a subtree for every glacier; files of earlier formats."""

import json
import warnings
from typing import Any

import arviz as az
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.draws.open import FORMAT, open_draws
from glacierbayes.draws.views import glacier_views, variables
from glacierbayes.report import fit_statistics, parameter_table, write_report

from ..glaciers import slab
from ..sampling import sample
from ..synthetic_draws import make_draws

pytestmark = pytest.mark.run

GLACIERS = slab(), slab(size=9)
PERIODS = [0.2, 0.2], (2000, 2010), (2010, 2020)
SEEN = tuple(gb.Observations(geodetic=gb.GeodeticBalance([b, b], *PERIODS)) for b in (-1.0, -0.4))


class Change:
    """A run without a solve: one mass balance for every period."""

    def __init__(self, balance: Any):
        self.balance = balance

    def mass_change(self, start: float, end: float) -> Any:
        return self.balance


def two_glaciers(glacier, observations=None):
    common = priors.sample("common_balance", dist.Normal(0.0, 1.0), "m yr-1", "balance that both glaciers share")
    priors.record_provenance("what", "two")
    for name, one, seen in priors.enumerate_glaciers(glacier, observations):
        with priors.scope(name):
            own = priors.sample("own_balance", dist.Normal(0.0, 0.5), "m yr-1", "what the glacier adds")
            priors.store_field("elevation", np.asarray(one.bed), "m", "a field of the model")
            priors.record_provenance("balance_model", f"of {name}")
            priors.observe(Change(jnp.asarray(common + own)), seen)


@pytest.fixture(scope="module")
def draws():
    return sample(two_glaciers, GLACIERS, SEEN, draws=250)


def test_a_glacier_is_a_subtree_that_is_like_the_draws_of_one(draws):
    assert set(draws["posterior"].data_vars) == {"common_balance"}
    first, second = draws["glaciers/glacier1"], draws["glaciers/glacier2"]
    for tree in (first, second):
        assert set(tree["posterior"].data_vars) == {"own_balance", "volume_change_density"}
        assert set(tree["posterior_predictive"].data_vars) == {"geodetic_balance", "modelled_balance"}
        assert tree["observed_data"]["geodetic_balance"]["period"].values.tolist() == ["2000-2010", "2010-2020"]
        assert tree["constant_data"]["geodetic_balance_sigma"].attrs["units"] == "m yr-1"
        assert list(az.summary(tree, kind="diagnostics").index) == list(tree["posterior"].data_vars)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # two periods say much of the parameters of this model
            assert az.loo(tree, var_name="geodetic_balance").n_data_points == 2
    assert first["constant_data"]["bed"].shape == (12, 12) and second["constant_data"]["bed"].shape == (9, 9)
    assert second["constant_data"]["elevation"].attrs["units"] == "m"
    assert second["posterior"]["own_balance"].attrs == first["posterior"]["own_balance"].attrs
    assert second.attrs["balance_model"] == "of glacier2"


def test_every_glacier_is_judged(draws):
    assert set(gb.check(draws).table.index) == set(variables(draws, "posterior"))
    broken = draws.copy(deep=True)
    broken["glaciers/glacier2/posterior"]["own_balance"][0] += 5.0
    answer = gb.check(broken)
    assert list(answer.table.index[answer.table["r_hat"] > 1.5]) == ["glacier2/own_balance"]
    assert "glacier2/own_balance" in answer.problems[0]


def test_the_report_is_by_glacier(draws, tmp_path):
    draws.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    folder = write_report(tmp_path / "two.nc", tmp_path / "report")
    assert {"glacier1_mass_change.png", "glacier2_mass_change.png"} <= {path.name for path in folder.iterdir()}
    assert "own balance (glacier2)" in (folder / "index.html").read_text()
    statistics = fit_statistics(tmp_path / "two.nc")
    assert statistics["glacier2"]["balance_observed"] == pytest.approx([-0.4, -0.4])
    assert "glacier1/own_balance" in parameter_table(draws).index


def test_a_view_of_a_glacier_holds_what_is_shared(draws):
    views = glacier_views(draws)
    assert list(views) == ["glacier1", "glacier2"]
    assert {"common_balance", "own_balance"} <= set(views["glacier2"]["posterior"].data_vars)
    assert glacier_views(make_draws(draws=10))[""].identical(make_draws(draws=10))


def _with_prefixes(draws: xr.DataTree) -> xr.DataTree:
    """The same draws as format 1 had them: `glacier1_` before names, and no subtree."""
    groups = {"/": xr.Dataset(attrs={"glaciers": json.dumps(["glacier1", "glacier2"]), "rgi_id": "A, B"})}
    for part in draws["glaciers/glacier1"].children:
        own = [draws[part].to_dataset()]
        for name in ("glacier1", "glacier2"):
            dataset = draws[f"glaciers/{name}/{part}"].to_dataset()
            keep = ("chain", "draw", "component")
            own.append(dataset.rename({k: f"{name}_{k}" for k in [*dataset.variables, *dataset.dims] if k not in keep}))
        groups[part] = xr.merge(own, combine_attrs="override")
    groups["sample_stats"] = draws["sample_stats"].to_dataset()
    return xr.DataTree.from_dict(groups)


def test_files_with_prefixes_are_read(draws, tmp_path):
    _with_prefixes(draws).to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    tree = open_draws(tmp_path / "old.nc")
    assert set(variables(tree, "posterior")) == set(variables(draws, "posterior"))
    for name, values in variables(draws, "posterior_predictive").items():
        np.testing.assert_array_equal(variables(tree, "posterior_predictive")[name], values)
    assert tree["glaciers/glacier2"].attrs["rgi_id"] == "B"
    assert fit_statistics(tmp_path / "old.nc").keys() == {"glacier1", "glacier2"}
    assert gb.check(tmp_path / "old.nc").table.equals(gb.check(draws).table)


def test_files_of_one_glacier_of_format_1_are_read(tmp_path):
    """As the first version wrote them: no format, no statistics, no name of the prediction."""
    old = make_draws(draws=60)
    assert "format" not in old.attrs and not old["observed_data"]["velocity"].attrs
    old.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    assert gb.check(tmp_path / "old.nc").divergences == 0
    assert (write_report(tmp_path / "old.nc", tmp_path / "report") / "speed_maps.png").is_file()


def test_a_later_format_is_refused(draws):
    later = draws.copy()
    later.attrs["format"] = FORMAT + 1
    with pytest.raises(gb.InputError, match=f"has format {FORMAT + 1}.*update"):
        gb.check(later)
    assert draws.attrs["format"] == FORMAT


def test_failed_solves_are_counted_by_cause():
    tree = make_draws()
    codes = np.zeros((4, 300), int)
    codes[0, :5], codes[1, :3] = 1, 2
    tree["sample_stats"] = (
        tree["sample_stats"]
        .to_dataset()
        .assign(solver_result=(("chain", "draw"), codes), solver_failed=(("chain", "draw"), codes > 0))
    )
    tree.attrs["solver_results"] = json.dumps({"1": "step limit reached", "2": "left the window"})
    answer = gb.check(tree)
    assert answer.failures == {"step limit reached": 5, "left the window": 3}
    assert "5 step limit reached, 3 left the window" in answer.problems[0]
    assert "left the window" in str(answer) and "left the window" in answer._repr_html_()


def test_infer_writes_the_same_tree(draws, tmp_path):
    path = tmp_path / "two.nc"
    found = gb.infer(two_glaciers, GLACIERS, SEEN, chains=2, draws=20, warmup=20, output=path)
    for name in ("glacier1", "glacier2"):
        for part in draws[f"glaciers/{name}"].children:
            expected, written = (tree[f"glaciers/{name}/{part}"] for tree in (draws, found))
            assert {n: v.dims for n, v in expected.data_vars.items()} == {
                n: v.dims for n, v in written.data_vars.items()
            }
            assert all(v.attrs == written[n].attrs for n, v in expected.data_vars.items())
    assert set(found["posterior"].data_vars) == {"common_balance"}
    assert found["glaciers/glacier2"].attrs["balance_model"] == "of glacier2" and found.attrs["what"] == "two"
