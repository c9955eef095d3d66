"""Model files: found, read, refused."""

import pytest

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
