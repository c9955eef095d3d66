"""The report: complete, honest about what is missing, and all or nothing on disk."""

import json

import numpy as np
import pandas as pd
import pytest

from glacierbayes.errors import InputError
from glacierbayes.report import fit_statistics, parameter_table, write_report
from glacierbayes.report.parameters import parameters

from ..synthetic_draws import make_draws

FIGURES = {"speed_maps", "speed_scatter", "mass_change", "prior_and_posterior", "flow_pairs", "trace_and_rank"}


def test_report_is_complete(tmp_path):
    draws = make_draws()
    draws.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    folder = write_report(str(tmp_path / "posterior.nc"), str(tmp_path / "report"))
    assert {path.stem for path in folder.glob("*.png")} == FIGURES
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in FIGURES)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert all(f'src="{name}.png"' in page for name in FIGURES)
    assert "RGI60-11.01450" in page and "effective" in page and "90 %" in page and "ab" * 32 in page
    assert "12 cells without a thickness were filled" in page
    assert str(tmp_path) not in page
    table = pd.read_csv(folder / "parameters.csv", index_col="parameter")
    speed = draws.posterior["reference_speed"].values
    np.testing.assert_allclose(table.loc["reference_speed", ["ci90_lower", "median", "ci90_upper"]].astype(float),
                               np.quantile(speed, [0.05, 0.5, 0.95]), rtol=1e-12)  # fmt: skip
    assert json.loads((folder / "fit.json").read_text())["blocks"] > 50
    assert {path.name for path in tmp_path.iterdir()} == {"posterior.nc", "report"}


def test_what_is_missing_is_said(tmp_path):
    folder = write_report(make_draws(velocity=False, balance=False, sliding=False), tmp_path / "report")
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert {path.stem for path in folder.glob("*.png")} == FIGURES - {"speed_maps", "speed_scatter", "mass_change"}
    assert "No surface velocity was used" in page and "No geodetic mass balance was used" in page


def test_draws_that_are_not_trusted_are_reported_as_such(tmp_path):
    draws = make_draws(chains=1, draws=60)
    draws.posterior["creep_parameter"][0, 0] = np.nan
    del draws["prior"]
    page = (write_report(draws, tmp_path / "report") / "index.html").read_text(encoding="utf-8")
    assert "NOT to be trusted" in page and "only one chain" in page and "posterior/creep_parameter" in page


def test_thin_ice_has_no_speed_statistics(tmp_path):
    draws = make_draws(draws=60, balance=False)
    draws.constant_data["velocity_block_thickness"][1:] = 20.0
    draws.constant_data["velocity_block_thickness"][0] = 80.0
    folder = write_report(draws, tmp_path / "report")
    fit = json.loads((folder / "fit.json").read_text())
    assert fit["blocks"] == 1 and fit["log_correlation"] is None
    assert "Blocks with more than 50 m of ice: 1, too few" in (folder / "index.html").read_text(encoding="utf-8")


def test_ice_at_rest_is_counted():
    draws = make_draws(draws=60, balance=False)
    before = fit_statistics(draws)
    still = int(np.argmax(draws.constant_data["velocity_block_thickness"].values))
    draws.posterior_predictive["modelled_velocity"][:, :, still] = 0.0
    after = fit_statistics(draws)
    assert after["blocks"] == before["blocks"]
    assert np.isfinite(after["log_correlation"]) and after["log_correlation"] < before["log_correlation"] - 0.05


def test_text_of_others_is_escaped(tmp_path):
    draws = make_draws(draws=60, velocity=False, balance=False)
    draws.attrs["notes"] = json.dumps(["<script>alert(1)</script>"])
    page = (write_report(draws, tmp_path / "report") / "index.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_bad_output_is_bad_input_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        write_report(make_draws(draws=10), tmp_path / "there")
    with pytest.raises(InputError, match="not there"):
        write_report(make_draws(draws=10), tmp_path / "nowhere" / "report")
    with pytest.raises(InputError, match="no such file"):
        write_report(tmp_path / "posterior.nc", tmp_path / "report")

    def breaks(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("glacierbayes.report.write._fill", breaks)
    with pytest.raises(KeyboardInterrupt):
        write_report(make_draws(draws=10), tmp_path / "report")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_fit_statistics_of_a_perfect_and_of_a_doubled_model():
    draws = make_draws()
    observed = draws.observed_data["velocity"].values
    noise = np.random.default_rng(2).normal(0.0, 1.0, (4, 300, *observed.shape))
    draws.posterior_predictive["modelled_velocity"][:] = observed
    draws.posterior_predictive["velocity"][:] = observed + noise
    statistics = fit_statistics(draws)
    thick = draws.constant_data["velocity_block_thickness"].values > 50
    assert statistics["blocks"] == thick.sum()
    assert statistics["log_correlation"] == pytest.approx(1) and statistics["median_ratio"] == pytest.approx(1)
    assert statistics["coverage_90"] == 1
    draws.posterior_predictive["modelled_velocity"][:] = 2 * observed
    draws.posterior_predictive["velocity"][:] = 2 * observed + noise
    statistics = fit_statistics(draws)
    assert statistics["median_ratio"] == pytest.approx(2) and statistics["coverage_90"] < 0.2
    modelled = float(draws.posterior_predictive["modelled_balance"].median())
    assert statistics["balance_difference_in_sigma"] == [pytest.approx((modelled + 1.05) / 0.13)]


def test_balance_sigma_follows_from_the_noise_where_it_is_not_stored():
    draws = make_draws()
    draws["constant_data"] = draws["constant_data"].to_dataset().drop_vars("geodetic_balance_sigma")
    expected = np.hypot(0.11, 60 / 850 * 1.05)
    assert fit_statistics(draws)["balance_sigma"] == [pytest.approx(expected, rel=0.05)]


def test_scales_and_contraction():
    found = {one.name: one for one in parameters(make_draws(draws=1000))}
    scales = {name: found[name].scale for name in ("reference_speed", "sliding_fraction", "temperature_bias")}
    assert scales == {"reference_speed": "log", "sliding_fraction": "logit", "temperature_bias": "identity"}
    assert found["creep_parameter"].scale == "log" and found["creep_parameter"].derived
    # standard deviations that the builder draws with: prior 1.0, posterior hypot(0.05, 0.3 * 0.16)
    assert found["reference_speed"].contraction == pytest.approx(1 - np.hypot(0.05, 0.048), abs=0.02)
    assert found["reference_speed"].learnt == "learnt from the data"
    assert found["volume_change_density"].learnt == "hardly learnt from the data"


def test_a_bound_is_called_a_bound():
    draws = make_draws(draws=1000)
    logit = 1.5 * np.random.default_rng(3).normal(size=40000)
    below = logit[logit < 0][:4000].reshape(4, 1000)  # the data exclude more than half
    draws.posterior["sliding_fraction"][:] = 1 / (1 + np.exp(-below))
    assert next(one for one in parameters(draws) if one.name == "sliding_fraction").learnt == "upper bound only"
    draws.posterior["sliding_fraction"][:] = 1 / (1 + np.exp(below))
    assert next(one for one in parameters(draws) if one.name == "sliding_fraction").learnt == "lower bound only"


def test_table_holds_the_elements_of_arrays():
    draws = make_draws()
    field = (("chain", "draw", "knot"), np.random.default_rng(1).normal(size=(4, 300, 3)))
    draws["posterior"] = draws["posterior"].to_dataset().assign(correction=field)
    table = parameter_table(draws)
    values = draws.posterior["correction"].values
    for knot in range(3):
        assert table.loc[f"correction[{knot}]", "median"] == pytest.approx(np.median(values[..., knot]))
        assert np.isnan(table.loc[f"correction[{knot}]", "contraction"])
