"""Solvers of diffrax behind `simulate`, and the error that a user sets."""

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.laws import Glen
from glacierbayes.physics.mass_balance import LinearGradient
from glacierbayes.solvers import diffrax_adapter
from glacierbayes.solvers.gradient_check import check_gradient
from glacierbayes.solvers.results import code_from_diffrax, in_words
from glacierbayes.solvers.simulate import DEFAULT_SOLVER, simulate

from ..glaciers import valley

pytestmark = pytest.mark.run

YEARS = (2000.0, 2010.0)


def dome(cells: int = 24) -> Glacier:
    x = 200.0 * (np.arange(cells) - (cells - 1) / 2)
    thickness = 250.0 * np.maximum(1 - (x / 1700.0) ** 2 - (x[:, None] / 1500.0) ** 2, 0.0)
    return Glacier(bed=2500.0 - 0.05 * x + np.zeros_like(thickness), thickness=thickness, x=x, y=x)


def run(tolerance: float, solver=DEFAULT_SOLVER, glacier=None, balance=None):
    law, glacier = Glen(2.4e-24), glacier or dome()
    return jax.jit(lambda g: simulate(g, law, balance, YEARS, (2005.0,), solver=solver, tolerance=tolerance))(glacier)


def rms(one, other) -> float:
    return float(np.sqrt(np.mean(np.square(one - other)[other > 0])))


@pytest.mark.parametrize("solver", [dfx.Bosh3(), dfx.Tsit5()], ids=["Bosh3", "Tsit5"])
def test_a_solver_of_diffrax_goes_to_the_same_ice(solver):
    theirs, ours = run(1e-4, solver), run(1e-4)
    assert bool(theirs.ok)
    assert theirs.thickness.shape == ours.thickness.shape
    assert rms(np.asarray(theirs.thickness), np.asarray(ours.thickness)) < 0.02
    assert theirs.mass_error < 1e-4
    assert ours.mass_error < 1e-12


def test_a_solver_of_diffrax_melts_no_more_than_there_is():
    glacier = valley()
    balance = LinearGradient(ela=2850.0, gradient=0.01)
    theirs, ours = run(1e-3, dfx.Bosh3(), glacier, balance), run(1e-3, DEFAULT_SOLVER, glacier, balance)
    assert np.min(theirs.thickness) == 0.0
    assert float(theirs.supplied) == pytest.approx(float(ours.supplied), rel=0.01)


def test_a_solver_of_diffrax_that_takes_too_many_steps_says_so(monkeypatch):
    """One whose steps are not a number ends like this, too: diffrax rejects them and tries shorter ones."""
    monkeypatch.setattr(diffrax_adapter, "ADAPTER_MAX_STEPS", 5)  # the dates below are compiled in this test only
    dates = (2000.1, 2000.2, 2000.3)
    history = simulate(valley(), Glen(2.4e-24), None, (2000.0, 2000.5), dates, solver=dfx.Bosh3())
    assert history.result == "step limit" and not bool(history.ok) and np.all(np.isnan(history.thickness))


def test_a_finished_solve_that_is_not_a_number_says_so():
    finished = code_from_diffrax(dfx.RESULTS.successful, jnp.array([1.0, jnp.nan]))
    assert in_words(round(float(finished))) == "not a number"


def test_an_implicit_solver_of_diffrax_that_does_not_converge_says_so():
    finished = code_from_diffrax(dfx.RESULTS.dt_min_reached, jnp.array([1.0, jnp.inf]))
    assert in_words(round(float(finished))) == "solver did not converge"


def test_a_smaller_tolerance_is_more_exact():
    exact = np.asarray(run(1e-5).thickness[-1])
    errors = [rms(np.asarray(run(tolerance).thickness[-1]), exact) for tolerance in (1.0, 0.1, 0.01)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "worst"), [(DEFAULT_SOLVER, 1e-6), (dfx.Bosh3(), 1e-3)], ids=["ours", "Bosh3"])
def test_gradients_of_a_dome_that_spreads_over_bare_rock(solver, worst):
    """Ahead of the margin lie films of 1e-200 m. The steps of Bosh3 are chosen anew in every run."""
    thick = dome().thickness > 100.0

    def height(point):
        history = simulate(dome(), Glen(jnp.exp(point["log A"])), None, YEARS, solver=solver, tolerance=1e-3)
        return jnp.sum(jnp.where(thick, history.thickness[-1], 0.0))

    found = check_gradient(height, {"log A": np.log(2.4e-24)}, [{"log A": 1.0}])
    assert found.modes_apart < 1e-9
    assert np.max(found.from_differences) < worst


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_is_none(tolerance):
    with pytest.raises(InputError, match="tolerance"):
        simulate(dome(), Glen(2.4e-24), None, YEARS, tolerance=tolerance)
