"""A law that is a function, from the model's site to the report."""

from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.problem import Problem
from glacierbayes.report import write_report
from tests.small_glacier import ERRORS, YEARS, glacier, observations, standing

pytestmark = pytest.mark.run


def model(glacier, observations=None, *, family="spline", two=False, lengths="fixed", run=gb.simulate):
    """Creep times an unknown function of thickness, or of thickness and slope."""
    creep = 2e-24 * jnp.exp(priors.sample("log_creep", dist.Normal(0.0, 0.5), "1", "log of creep over 2e-24"))
    inputs = priors.thickness_and_slope_inputs(glacier)[: 2 if two else 1]
    departure = priors.unknown_function("departure", family, inputs, 0.5, "log of the factor on the flux", lengths)
    law = gb.laws.Glen(A=creep) * gb.laws.Correction(departure, tuple(i.name for i in inputs))
    history = run(glacier, law, None, years=YEARS)
    if observations is not None:
        observations.velocity.observe(history, ERRORS)


ICE = glacier()
SEEN = observations(ICE)


@pytest.mark.parametrize(
    ("family", "two", "lengths"),
    [
        ("neural_network", True, "inferred"),
        pytest.param("gaussian_process", True, "fixed", marks=pytest.mark.slow),
        pytest.param("spline", False, "fixed", marks=pytest.mark.slow),
        pytest.param("spline", True, "inferred", marks=pytest.mark.slow),
        pytest.param("gaussian_process", False, "inferred", marks=pytest.mark.slow),
    ],
)
def test_the_density_of_a_function_can_be_differentiated(family, two, lengths):
    problem = Problem(model, ICE, SEEN, {"family": family, "two": two, "lengths": lengths})
    sampled = [name for name in problem.names if name.startswith("departure_length")]
    assert len(sampled) == (lengths == "inferred") * (1 + two)
    at = jnp.asarray(np.random.default_rng(0).normal(0.0, 0.3, problem.dimension))
    value, gradient = jax.jit(jax.value_and_grad(problem.potential))(at)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert np.count_nonzero(gradient) > 0.9 * problem.dimension


def test_an_unknown_family_is_named():
    with pytest.raises(gb.InputError, match="option family is \"cubic\", expected 'spline'"):
        Problem(model, ICE, SEEN, {"family": "cubic"})
    with pytest.raises(gb.InputError, match='option lengths is "short", expected "fixed" or "inferred"'):
        Problem(model, ICE, SEEN, {"lengths": "short"})


def test_an_inferred_length_lies_between_its_ends():
    """Of 20000 draws 200 are expected beyond either end: under 130 or above 270 by chance 1 time in 10^6."""
    drawn = priors.inverse_gamma(1.1, 4.4).sample(jax.random.key(0), (20000,))
    assert 130 < np.sum(drawn < 1.1) < 270 and 130 < np.sum(drawn > 4.4) < 270


def test_a_family_with_inferred_lengths_asks_for_their_ends():
    def made(length):
        return gb.functions.Spline((0.0, 1.0), 1.0, length).scale

    with pytest.raises(gb.InputError, match="Spline: lengths are inferred: give shortest and longest"):
        jax.jit(made)(0.3)


def test_its_values_are_kept_on_their_inputs_judged_and_drawn(tmp_path):
    settings = {"chains": 2, "draws": 4, "warmup": 4, "seed": 0, "workers": 0}
    of_ice = partial(model, two=True, run=standing)
    draws = gb.infer(of_ice, ICE, SEEN, output=tmp_path / "f.nc", **settings)
    values = draws["posterior"]["departure"]
    assert values.dims[2:] == ("departure_thickness", "departure_slope")
    assert values.size == 2 * 4 * 30 and values["departure_thickness"].attrs["units"] == "m"
    assert draws["posterior"]["departure_weights"].attrs["weights"] == 1
    judged = list(gb.check(draws).table.index)
    assert any(name.startswith("departure[") for name in judged)
    assert not any(name.startswith("departure_weights") for name in judged)
    # the weights give the values that were kept
    write_report(draws, tmp_path / "report")
    drawn = matplotlib.image.imread(tmp_path / "report" / "unknown_functions.png")
    assert drawn[..., :3].std() > 0.01  # not an empty sheet
    table = pd.read_csv(tmp_path / "report" / "functions.csv")
    assert len(table) == 30 and set(table["function"]) == {"departure"}
    last = values[..., -1, 0].values  # the thickest ice, level
    row = table[(table["thickness"] == table["thickness"].max()) & (table["slope"] == 0.0)].iloc[0]
    assert row["median"] == pytest.approx(np.median(last)) and row["ci90_lower"] <= row["median"] <= row["ci90_upper"]
    prior = draws["prior"]["departure"][..., -1, 0].values
    assert row["contraction"] == pytest.approx(1 - last.std() / prior[np.isfinite(prior)].std(), abs=1e-6)
