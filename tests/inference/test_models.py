"""Model files: found, read, refused."""

import numpyro
import numpyro.distributions as dist
import pytest

import glacierbayes as gb
from glacierbayes.errors import InputError
from glacierbayes.inference.models import find_model, model_names


def test_shipped_models_are_found_by_name():
    assert {"creep", "creep_and_sliding"} <= set(model_names())
    assert find_model("creep").__name__ == "model"


def test_a_function_is_itself():
    def model(glacier, observations=None):
        """Nothing."""

    assert find_model(model) is model


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown model.*creep_and_sliding"):
        find_model("slippery")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def model(:\n", "line 1"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("x = 1\n", "no function model"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        find_model(path)
    assert "mine.py" in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="not there"):
        find_model(tmp_path / "absent.py")


def test_a_likelihood_may_be_a_factor_alone(tmp_path):
    def model(glacier, observations=None):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.factor("data", -0.5 * (z - 1.0) ** 2)

    draws = gb.infer(model, None, None, chains=1, draws=4, warmup=1, output=tmp_path / "f.nc")
    assert draws["posterior"]["z"].shape == (1, 4)
