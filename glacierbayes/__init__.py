"""Probabilistic inference of glacier flow laws. The public names are lazy: see `__init__.pyi`."""

import importlib
import os
import sys
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "constants": "glacierbayes.constants",
    "functions": "glacierbayes.functions",
    "laws": "glacierbayes.laws",
    "mass_balance": "glacierbayes.physics.mass_balance",
    "observations": "glacierbayes.observations",
    "priors": "glacierbayes.priors",
    "report": "glacierbayes.report",
    "solvers": "glacierbayes.solvers",
}
_NAMES = {
    "Climate": "glacierbayes.glacier",
    "Draw": "glacierbayes.inference.engines.base",
    "Engine": "glacierbayes.inference.engines.base",
    "GeodeticBalance": "glacierbayes.observations.geodetic",
    "Glacier": "glacierbayes.glacier",
    "History": "glacierbayes.solvers.history",
    "InputError": "glacierbayes.errors",
    "Observation": "glacierbayes.observations.base",
    "Observations": "glacierbayes.observations.observations",
    "Velocity": "glacierbayes.observations.velocity",
    "check": "glacierbayes.draws.check",
    "check_gradient": "glacierbayes.solvers.gradient_check",
    "infer": "glacierbayes.inference.infer",
    "read_observations": "glacierbayes.data.oggm",
    "read_oggm": "glacierbayes.data.oggm",
    "simulate": "glacierbayes.solvers.simulate",
    "value_and_gradient": "glacierbayes.solvers.gradient",
}
__all__ = ["__version__", *_MODULES, *_NAMES]  # pyright: ignore[reportUnsupportedDunderAll]


def _use_float64() -> None:
    # single precision loses the mass budget and the gradient; the variable alone does nothing once jax is there
    os.environ["JAX_ENABLE_X64"] = "1"
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", True)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'glacierbayes' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load_numpyro() -> None:
    # ArviZ leaves a lazy one behind; `import numpyro.distributions` then makes that module twice, and models fail
    if "numpyro" in sys.modules:
        getattr(sys.modules["numpyro"], "__version__")  # noqa: B009


_use_float64()
_load_numpyro()
