"""`check`: good draws pass, every single fault is found and named."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from glacierbayes.draws.check import check
from glacierbayes.errors import InputError

from ..synthetic_draws import make_draws


def test_good_draws_are_trusted():
    answer = check(make_draws())
    assert answer.ok and answer.problems == [] and answer.remarks == []
    assert list(answer.table.index) == [str(name) for name in make_draws().posterior.data_vars]
    assert answer.table["ok"].all()
    assert answer.divergences == 0 and answer.failed_solves == 0 and len(answer.e_bfmi) == 4
    assert "can be trusted" in str(answer) and "sliding_fraction" in str(answer)
    assert "<table>" in answer._repr_html_()


def test_file_and_tree_agree(tmp_path):
    draws = make_draws()
    draws.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    for path in (tmp_path / "posterior.nc", str(tmp_path / "posterior.nc")):
        np.testing.assert_array_equal(check(path).table["r_hat"], check(draws).table["r_hat"])


def _shifted_chain(draws):
    draws.posterior["thickness_scale"][0] += 0.5


def _sticky_chain(draws):
    values = draws.posterior["melt_factor"]
    values[:] = np.repeat(values.values[:, ::10], 10, axis=1)


def _diverging(draws):
    draws.sample_stats["diverging"][1, 5] = True


def _low_energy(draws):
    draws.sample_stats["energy"][2] = np.linspace(400, 440, draws.sizes.get("draw", 300))


def _failing(draws):
    draws.sample_stats["solver_failed"][0, :7] = True  # of 1200: 0.58 %


def _not_a_number(draws):
    draws.posterior["creep_parameter"][3, 7] = np.nan


def _infinite_prediction(draws):
    draws.posterior_predictive["modelled_velocity"][0, 0, 0, 0] = np.inf


def _constant(draws):
    draws.posterior["temperature_bias"][:] = 1.0


def _unrecorded(draws):
    draws["sample_stats"] = draws["sample_stats"].to_dataset().drop_vars(["energy"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_shifted_chain, ("disagree on thickness_scale", "warmup")),
        (_sticky_chain, ("too few independent draws of melt_factor", "Draw about")),
        (_diverging, ("1 of 1200 transitions diverged",)),
        (_low_energy, ("chain 2", "E-BFMI")),
        (_failing, ("7 of 1200 transitions", "0.58 %")),
        (_not_a_number, ("posterior/creep_parameter", "1 of 1200")),
        (_infinite_prediction, ("posterior_predictive/modelled_velocity",)),
        (_constant, ("temperature_bias", "constant")),
        (_unrecorded, ("sample_stats/energy is missing",)),
    ],
)
def test_every_fault_is_named(fault, words):
    draws = make_draws()
    fault(draws)
    answer = check(draws)
    assert not answer.ok
    assert all(any(word in problem for problem in answer.problems) for word in words)
    assert "NOT to be trusted" in str(answer)


def test_few_failed_solves_are_allowed():
    draws = make_draws()
    draws.sample_stats["solver_failed"][0, :6] = True  # of 1200: exactly 0.5 %
    assert check(draws).ok


def test_a_parameter_outside_its_prior_is_remarked_on():
    draws = make_draws()
    draws.posterior["thickness_scale"] *= 2.5
    answer = check(draws)
    assert answer.ok and len(answer.remarks) == 1
    assert answer.remarks[0].startswith("thickness_scale is 2.") and answer.remarks[0] in str(answer)
    assert "what it lacks may have gone into this parameter" in answer.remarks[0]


def test_a_velocity_that_is_met_too_well_is_remarked_on():
    draws = make_draws()
    for tree in (draws.posterior, draws.prior):
        tree["velocity_discrepancy"] = tree["thickness_scale"]
    draws.posterior["velocity_discrepancy"] = draws.posterior["velocity_discrepancy"] / 2.5
    (remark,) = check(draws).remarks
    assert remark.startswith("velocity_discrepancy") and "Are the sigmas too large?" in remark


def test_one_chain_and_other_methods_are_not_vouched_for():
    lonely = check(make_draws(chains=1, draws=800))
    assert not lonely.ok and "only one chain" in lonely.problems[0] and lonely.table["r_hat"].isna().all()
    variational = check(make_draws(chains=1, draws=800, method="svi"))
    assert not variational.ok and "svi" in variational.problems[0] and "do not apply" in variational.problems[0]


def test_elements_of_arrays_are_rows():
    draws = make_draws()
    field = np.random.default_rng(1).normal(size=(4, 300, 3))
    draws["posterior"] = draws["posterior"].to_dataset().assign(correction=(("chain", "draw", "knot"), field))
    answer = check(draws)
    assert sum(str(name).startswith("correction[") for name in answer.table.index) == 3 and answer.ok


@pytest.mark.parametrize("kind", ["missing", "unfinished", "corrupt", "truncated", "foreign", "empty"])
def test_bad_files_are_bad_input(tmp_path: Path, kind: str):
    path = tmp_path / "posterior.nc"
    if kind == "unfinished":
        (tmp_path / "posterior.nc.parts").mkdir()
    elif kind == "corrupt":
        path.write_bytes(b"not a NetCDF file")
    elif kind == "truncated":
        make_draws(draws=20).to_netcdf(path, engine="h5netcdf")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "foreign":
        xr.Dataset({"bed": ("x", np.zeros(3))}).to_netcdf(path, engine="h5netcdf")
    elif kind == "empty":
        xr.DataTree.from_dict({"/posterior": xr.Dataset()}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(InputError) as caught:
        check(path)
    message = str(caught.value)
    assert str(path) in message and "expected" in message and 1 <= message.count("\n") + 1 <= 3
    if kind == "unfinished":
        assert "--resume" in message
