"""Flow laws, factors of them, and families of unknown functions, one a file."""

from glacierbayes.laws.base import FlowLaw, LocalIce, SumOfLaws
from glacierbayes.laws.basis import Spline
from glacierbayes.laws.correction import Correction
from glacierbayes.laws.coupled import Coupled
from glacierbayes.laws.factor import Factor
from glacierbayes.laws.functions import Family, Function
from glacierbayes.laws.gaussian_process import GaussianProcess
from glacierbayes.laws.glen import Glen
from glacierbayes.laws.neural import NeuralNetwork
from glacierbayes.laws.sliding import BuddSliding, CoulombSliding, WeertmanSliding
from glacierbayes.laws.temperature import TemperatureCreep, arrhenius, cuffey_paterson

__all__ = [
    "BuddSliding",
    "Correction",
    "CoulombSliding",
    "Coupled",
    "Factor",
    "Family",
    "FlowLaw",
    "Function",
    "GaussianProcess",
    "Glen",
    "LocalIce",
    "NeuralNetwork",
    "Spline",
    "SumOfLaws",
    "TemperatureCreep",
    "WeertmanSliding",
    "arrhenius",
    "cuffey_paterson",
]
