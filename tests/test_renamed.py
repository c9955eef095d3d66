"""Old public names say what they are called now."""

import pytest

import glacierbayes as gb


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("laws", "Coupled", "laws.LongitudinalAverage"),
        ("laws", "Factor", "laws.Multiplier"),
        ("laws", "Function", "functions.UnknownFunction"),
        ("laws", "Family", "functions.FunctionFamily"),
        ("laws", "Spline", "functions.Spline"),
        ("laws", "GaussianProcess", "functions.GaussianProcess"),
        ("laws", "NeuralNetwork", "functions.NeuralNetwork"),
        ("functions", "Function", "functions.UnknownFunction"),
        ("functions", "Family", "functions.FunctionFamily"),
        ("solvers", "Implicit", "solvers.Stabilised"),
    ],
)
def test_an_old_name_says_the_new_one(module, old, new):
    with pytest.raises(ImportError, match=f"{module}.{old}.*use glacierbayes.{new}"):
        getattr(getattr(gb, module), old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at_start", "begin_run"),
        ("coupled", "average_slope"),
        ("data_at", "mark_data"),
        ("keep_field", "store_field"),
        ("keep_function", "store_function"),
        ("of_the_ice", "thickness_and_slope_inputs"),
        ("several", "enumerate_glaciers"),
        ("state", "record_provenance"),
    ],
)
def test_an_old_block_says_the_new_one(old, new):
    with pytest.raises(ImportError, match=rf"priors\.{old} .*priors\.{new}"):
        getattr(gb.priors, old)
    assert callable(getattr(gb.priors, new))


@pytest.mark.parametrize("module", ["laws", "functions", "priors", "solvers"])
def test_a_name_that_never_was_is_an_attribute_error(module):
    assert not hasattr(getattr(gb, module), "no_such_name")
