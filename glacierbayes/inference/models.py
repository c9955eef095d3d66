"""Finds a model by path, in the package, or in the checkout."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from glacierbayes.errors import InputError


def _folders() -> list[Path]:
    package = Path(__file__).resolve().parents[1]
    return [package / "_models", package.parent / "models"]


def model_names() -> list[str]:
    """Names of the models that ship."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.py")})


def find_model(name: str | Path | Callable) -> Callable:
    """Returns the `model` function of a model file.

    Args:
        name: a path to a .py file, the name of a shipped model, or the function itself.

    Raises:
        InputError: there is no such model, the file does not compile or run, or it defines no `model`.
    """
    if callable(name):
        return name
    path = Path(name)
    if path.suffix != ".py":
        paths = [folder / f"{name}.py" for folder in _folders() if (folder / f"{name}.py").is_file()]
        if not paths:
            raise InputError(f'unknown model "{name}": expected {", ".join(model_names())}, or a path to a .py file')
        path = paths[0]
    if not path.is_file():
        raise InputError(
            f"model file {path}: not there; give a path to a .py file or one of {', '.join(model_names())}"
        )
    spec = importlib.util.spec_from_file_location(f"glacierbayes_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"model file {path}: Python cannot load it")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(f"model file {path}: line {error.lineno}: {error.msg}; mend the syntax") from error
    except Exception as error:  # whatever the user's file raises, it is the file that has to be mended
        raise InputError(f"model file {path}: {type(error).__name__} while it was read: {error}") from error
    model = getattr(module, "model", None)
    if not callable(model):
        raise InputError(f"model file {path}: no function model(glacier, observations=None, **options); define one")
    sys.modules[module.__name__] = module  # `inspect` finds the source through it
    return model


def describe_model(name: str | Path | Callable, model: Callable) -> tuple[str, str]:
    """Returns the name of a model for the result file, and a hash of its source."""
    try:
        source = inspect.getsource(inspect.getmodule(model) or model)
    except (OSError, TypeError):  # typed at a prompt
        source = model.__code__.co_code.hex() if hasattr(model, "__code__") else repr(model)
    label = getattr(model, "__name__", "model") if callable(name) else str(Path(name).name)
    return label, hashlib.sha256(source.encode()).hexdigest()
