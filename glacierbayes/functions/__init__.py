"""Families of unknown functions, one a file: priors of smooth functions of one or two inputs."""

from glacierbayes.functions.base import Family, Function
from glacierbayes.functions.gaussian_process import GaussianProcess
from glacierbayes.functions.neural_network import NeuralNetwork
from glacierbayes.functions.spline import Spline

__all__ = ["Family", "Function", "GaussianProcess", "NeuralNetwork", "Spline"]
