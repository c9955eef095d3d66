"""From a model to a file: what is in it, and that nothing is lost."""

import warnings
from functools import partial

import arviz as az
import equinox as eqx
import jax
import numpy as np
import pytest
from scipy import stats

import glacierbayes as gb
from glacierbayes.inference.problem import Problem
from tests import small_glacier as small

SETTINGS = {"chains": 2, "draws": 60, "warmup": 40, "seed": 3}


@pytest.fixture(scope="module")
def data():
    ice = small.glacier()
    return ice, small.observations(ice)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run of a glacier in a process of its own; one for both chains, so that it is compiled once."""
    path = tmp_path_factory.mktemp("run") / "posterior.nc"
    return path, gb.infer(small.model, *data, output=path, workers=1, **SETTINGS)


@pytest.mark.run
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


@pytest.mark.run
def test_truth_is_within_the_posterior(finished):
    """Noise has its stated size: the chance of lying beyond 4 posterior sd is below 1e-4."""
    log_creep = finished[1]["posterior"].to_dataset()["log_creep"].values
    assert abs(log_creep.mean()) < 4 * log_creep.std()
    assert log_creep.std() < 0.5  # of a prior with 1


@pytest.mark.run
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


@pytest.mark.run
def test_failed_solves_are_counted_with_their_cause_and_never_accepted(data, tmp_path):
    limit = -2.3  # in the middle of the posterior of ice that stands still
    model = partial(small.model, limit=limit, run=small.standing)
    draws = gb.infer(model, *data, output=tmp_path / "f.nc", workers=0, **SETTINGS)
    assert np.all(draws["posterior"].to_dataset()["log_creep"].values <= limit)
    statistics = draws["sample_stats"].to_dataset()
    assert int(statistics["solver_failed"].sum()) > 0
    assert not bool((statistics["solver_failed"] & statistics["diverging"]).any())
    failed = statistics["solver_failed"].values.astype(bool)
    assert np.all(statistics["solver_result"].values[failed] == gb.solvers.Result.NOT_A_NUMBER)
    assert gb.check(draws).failures == {"not a number": int(failed.sum())}
    assert np.all(np.isfinite(draws["posterior_predictive"].to_dataset()["modelled_velocity"].values))


@pytest.mark.run
@pytest.mark.slow
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
