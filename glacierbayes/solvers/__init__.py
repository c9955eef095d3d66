"""The solver for the shallow-ice equation, and the outcomes of a solve. Solvers of diffrax can be used, too."""

from typing import Any

from glacierbayes.errors import renamed
from glacierbayes.solvers.results import RESULTS, Result
from glacierbayes.solvers.stabilised import Stabilised

__all__ = ["RESULTS", "Result", "Stabilised"]

_RENAMED = {"Implicit": "glacierbayes.solvers.Stabilised, which is faster at equal error, or a solver of diffrax"}


def __getattr__(name: str) -> Any:
    raise renamed(__name__, name, _RENAMED)
