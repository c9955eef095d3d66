"""Families of unknown functions, one a file: priors of smooth functions of one or two inputs."""

from typing import Any

from glacierbayes.errors import renamed
from glacierbayes.functions.base import FunctionFamily, UnknownFunction
from glacierbayes.functions.gaussian_process import GaussianProcess
from glacierbayes.functions.neural_network import NeuralNetwork
from glacierbayes.functions.spline import Spline

__all__ = ["FunctionFamily", "GaussianProcess", "NeuralNetwork", "Spline", "UnknownFunction"]

_RENAMED = {
    "Family": "glacierbayes.functions.FunctionFamily",
    "Function": "glacierbayes.functions.UnknownFunction",
}


def __getattr__(name: str) -> Any:
    raise renamed(__name__, name, _RENAMED)
