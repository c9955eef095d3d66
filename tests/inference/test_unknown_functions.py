"""A law that is a function, from the model's site to the report."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.problem import Problem
from glacierbayes.report import write_report

from .small import ERRORS, YEARS, glacier, observations


def model(glacier, observations=None, *, family="spline", two=False):
    """Creep times an unknown function of thickness, or of thickness and slope."""
    creep = 2e-24 * jnp.exp(priors.sample("log_creep", dist.Normal(0.0, 0.5), "1", "log of creep over 2e-24"))
    inputs = priors.of_the_ice(glacier)[: 2 if two else 1]
    departure = priors.unknown_function("departure", family, inputs, 0.5, "log of the factor on the flux")
    law = gb.laws.Glen(A=creep) * gb.laws.Correction(departure, tuple(i.name for i in inputs))
    history = gb.simulate(glacier, law, None, years=YEARS)
    if observations is not None:
        observations.velocity.sample(history, *ERRORS)


ICE = glacier()
SEEN = observations(ICE)


@pytest.mark.parametrize(("family", "two"), [("spline", False), ("gaussian_process", True), ("neural_network", True)])
def test_the_density_of_a_function_can_be_differentiated(family, two):
    problem = Problem(model, ICE, SEEN, {"family": family, "two": two})
    at = jnp.asarray(np.random.default_rng(0).normal(0.0, 0.3, problem.dimension))
    value, gradient = jax.jit(jax.value_and_grad(problem.potential))(at)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert np.count_nonzero(gradient) > 0.9 * problem.dimension


def test_an_unknown_family_is_named():
    with pytest.raises(gb.InputError, match="option family is \"cubic\", expected 'spline'"):
        Problem(model, ICE, SEEN, {"family": "cubic"})


@pytest.mark.timeout(900)  # it compiles for minutes where other work runs beside it
def test_its_values_are_kept_on_their_inputs_judged_and_drawn(tmp_path):
    draws = gb.infer(
        model, ICE, SEEN, chains=2, draws=4, warmup=4, seed=0, output=tmp_path / "f.nc", options={"two": True}
    )
    values = draws["posterior"]["departure"]
    assert values.dims[2:] == ("departure_thickness", "departure_slope")
    assert values.size == 2 * 4 * 30 and values["departure_thickness"].attrs["units"] == "m"
    assert draws["posterior"]["departure_weights"].attrs["weights"] == 1
    judged = list(gb.check(draws).table.index)
    assert any(name.startswith("departure[") for name in judged)
    assert not any(name.startswith("departure_weights") for name in judged)
    # the weights give the values that were kept
    write_report(draws, tmp_path / "report")
    assert (tmp_path / "report" / "unknown_functions.png").stat().st_size > 10_000
