"""From a model to a file: what is in it, and that nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import arviz as az
import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import glacierbayes as gb
from glacierbayes.inference.chunks import finished_chunks
from glacierbayes.inference.problem import Problem

from . import small

SETTINGS = {"chains": 2, "draws": 60, "warmup": 40, "seed": 3}


@pytest.fixture(scope="module")
def data():
    ice = small.glacier()
    return ice, small.observations(ice)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "posterior.nc"
    draws = gb.infer(small.model, *data, output=path, **SETTINGS)
    return path, draws


def test_groups_units_and_diagnostics(finished):
    path, draws = finished
    assert path.is_file()
    expected = {
        "posterior", "sample_stats", "posterior_predictive", "prior", "prior_predictive",
        "log_likelihood", "observed_data", "constant_data",
    }  # fmt: skip
    assert expected <= set(draws.children)
    for name, group in draws.children.items():
        for variable, array in group.to_dataset().data_vars.items():
            assert array.attrs.get("units"), (name, variable)
            assert array.attrs.get("long_name"), (name, variable)
    posterior = draws["posterior"].to_dataset()
    assert posterior["creep_parameter"].dims == ("chain", "draw")
    assert np.all(np.isfinite(az.summary(draws)["r_hat"].astype(float)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # 120 draws are few for Pareto's k
        assert np.isfinite(az.loo(draws, var_name="velocity").elpd)
    for attribute in ("versions", "seed", "data_files", "options", "thickness_product", "model"):
        assert attribute in draws.attrs


def test_truth_is_within_the_posterior(finished):
    """Noise has its stated size: the chance of lying beyond 4 posterior sd is below 1e-4."""
    log_creep = finished[1]["posterior"].to_dataset()["log_creep"].values
    assert abs(log_creep.mean()) < 4 * log_creep.std()
    assert log_creep.std() < 0.5  # of a prior with 1


def test_log_likelihood_is_of_each_block_given_the_others(finished, data):
    _, draws = finished
    modelled = draws["posterior_predictive"].to_dataset()["modelled_velocity"].values[1, -1]
    found = draws["log_likelihood"].to_dataset()["velocity"].values
    velocity = data[1].velocity
    places = np.stack([velocity.x, velocity.y], -1)
    discrepancy, length, freedom = small.ERRORS.values()
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    shared = discrepancy**2 * np.exp(-distance / length)
    assert found.shape == (SETTINGS["chains"], SETTINGS["draws"], len(places))

    def joint(component, chosen):
        covariance = shared + np.diag(np.asarray(velocity.sigma)[:, component] ** 2)
        law = stats.multivariate_t(modelled[chosen, component], covariance[np.ix_(chosen, chosen)], df=freedom)
        return law.logpdf(np.asarray(velocity.velocity)[chosen, component])

    blocks = np.arange(len(places))
    for block in blocks[::5]:
        expected = sum(joint(c, blocks) - joint(c, blocks[blocks != block]) for c in (0, 1))
        assert found[1, -1, block] == pytest.approx(expected, rel=1e-9)


def test_what_is_there_is_not_overwritten(finished, data):
    path, _ = finished
    with pytest.raises(gb.InputError, match="is there already"):
        gb.infer(small.model, *data, output=path, **SETTINGS)
    with pytest.raises(gb.InputError, match="another seed"):
        gb.infer(small.model, *data, output=path, resume=True, **{**SETTINGS, "seed": 4})
    again = gb.infer(small.model, *data, output=path, resume=True, **SETTINGS)
    assert again.attrs["created"] == finished[1].attrs["created"]


def test_more_draws_go_on_from_those_that_are_there(finished, data, tmp_path):
    path, draws = finished
    output = tmp_path / path.name
    shutil.copy(path, output)
    shutil.copytree(path.with_name(f"{path.name}.parts"), tmp_path / f"{path.name}.parts")  # 120 draws are too few
    more = gb.infer(small.model, *data, output=output, resume=True, **{**SETTINGS, "draws": 300})
    assert more["posterior"].sizes == {"chain": 2, "draw": 300}
    one, other = (tree["posterior"].to_dataset()["log_creep"].values for tree in (draws, more))
    np.testing.assert_array_equal(one, other[:, : SETTINGS["draws"]])
    with pytest.raises(gb.InputError, match="another draws"):
        gb.infer(small.model, *data, output=output, resume=True, **{**SETTINGS, "draws": 200})


def test_the_parts_go_once_the_draws_can_be_trusted(data, tmp_path):
    output = tmp_path / "long.nc"
    draws = gb.infer(small.model, *data, output=output, **{**SETTINGS, "draws": 1200})
    # one parameter, 2400 draws: R-hat is within 0.002 of 1, and a fixed seed keeps it there
    assert gb.check(draws).ok
    assert not output.with_name("long.nc.parts").exists()


def killed_and_resumed(tmp_path: Path, settings: dict, kills: int, longest: float) -> xr.DataTree:
    """Kills a run with all its processes at random moments up to `longest` seconds after it has chunks, and ends it."""
    output = tmp_path / "killed.nc"
    folder = tmp_path / "killed.nc.parts"
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import glacierbayes as gb\n"
        "from tests.inference import small\n"
        "ice = small.glacier()\n"
        f"gb.infer(small.model, ice, small.observations(ice), output={str(output)!r}, resume=True, **{settings})\n"
    )
    chains = range(settings["chains"])

    def finished_of_each() -> list[int]:
        return [finished_chunks(folder, chain) for chain in chains]

    for delay in np.random.default_rng(7).uniform(0.0, longest, kills):
        earlier = finished_of_each()
        process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 120
        while finished_of_each() == earlier and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(delay)
        before = finished_of_each()
        assert process.poll() is None, "the run was over before it was killed"
        os.kill(process.pid, signal.SIGKILL)  # the chains see their input end, and stop
        process.wait()
        time.sleep(0.5)
        assert all(n >= m for n, m in zip(finished_of_each(), before, strict=True))
    subprocess.run([sys.executable, script], stderr=subprocess.DEVNULL, check=True)
    with xr.open_datatree(output, engine="h5netcdf") as tree:
        return tree.load()


def assert_same_draws(one: xr.DataTree, other: xr.DataTree) -> None:
    for group in ("posterior", "sample_stats", "posterior_predictive"):
        for name, values in one[group].to_dataset().data_vars.items():
            np.testing.assert_array_equal(values, other[group].to_dataset()[name], err_msg=str(name))


def test_killed_and_resumed_equals_undisturbed(finished, tmp_path):
    assert_same_draws(finished[1], killed_and_resumed(tmp_path, SETTINGS, kills=1, longest=0.3))


@pytest.mark.slow
def test_killed_ten_times_equals_undisturbed(data, tmp_path):
    settings = {**SETTINGS, "draws": 4000}
    draws = gb.infer(small.model, *data, output=tmp_path / "posterior.nc", **settings)
    assert_same_draws(draws, killed_and_resumed(tmp_path, settings, kills=10, longest=2.0))


@pytest.mark.slow
def test_failed_solves_are_counted_and_never_accepted(data, tmp_path):
    draws = gb.infer(small.model, *data, output=tmp_path / "f.nc", options={"limit": 0.0}, **SETTINGS)
    assert np.all(draws["posterior"].to_dataset()["log_creep"].values <= 0.0)
    statistics = draws["sample_stats"].to_dataset()
    assert int(statistics["solver_failed"].sum()) > 0
    assert not bool((statistics["solver_failed"] & statistics["diverging"]).any())
    assert np.all(np.isfinite(draws["posterior_predictive"].to_dataset()["modelled_velocity"].values))


def test_forward_and_reverse_mode_agree(data):
    problem = Problem(small.model, *data, {})
    point = jax.numpy.asarray([0.3])
    forward = jax.jit(jax.jacfwd(problem.potential))(point)
    reverse = jax.jit(jax.grad(problem.potential))(point)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)


def test_nothing_observed_is_refused(data, tmp_path):
    with pytest.raises(gb.InputError, match="no observation that the model can use"):
        gb.infer("creep", data[0], gb.Observations(), output=tmp_path / "n.nc")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ice, seen: ("glacier/", seen), "glacier is a str, expected gb.Glacier"),
        (lambda ice, seen: (ice, seen.velocity), "observations is a Velocity"),
        (lambda ice, seen: (eqx.tree_at(lambda g: g.thickness, ice, ice.thickness / 1e3), seen), "0.15 m"),
    ],
    ids=["a path", "bare velocity", "thickness in km"],
)
def test_data_that_are_none_are_refused(data, tmp_path, change, said):
    with pytest.raises(gb.InputError, match=said):
        gb.infer("creep", *change(*data), output=tmp_path / "n.nc", options={"balance": "LinearGradient"})
    assert not any(tmp_path.iterdir())


def test_unknown_option_is_refused(data, tmp_path):
    with pytest.raises(gb.InputError, match=r"colour.*; it has .*balance"):
        gb.infer("creep", *data, output=tmp_path / "n.nc", options={"colour": 1})


def test_missing_folder_is_refused(data, tmp_path):
    with pytest.raises(gb.InputError, match="make it first"):
        gb.infer("creep", *data, output=tmp_path / "absent" / "n.nc")
