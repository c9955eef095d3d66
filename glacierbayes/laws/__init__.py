"""Flow laws and multipliers of flow laws, one a file."""

from typing import Any

from glacierbayes.errors import renamed
from glacierbayes.laws.base import FlowLaw, LocalIce, SumOfLaws
from glacierbayes.laws.correction import Correction
from glacierbayes.laws.glen import Glen
from glacierbayes.laws.longitudinal_average import LongitudinalAverage
from glacierbayes.laws.multiplier import MultipliedLaw, Multiplier
from glacierbayes.laws.sliding import BuddSliding, CoulombSliding, WeertmanSliding
from glacierbayes.laws.temperature import TemperatureCreep, arrhenius, cuffey_paterson

__all__ = [
    "BuddSliding",
    "Correction",
    "CoulombSliding",
    "FlowLaw",
    "Glen",
    "LocalIce",
    "LongitudinalAverage",
    "MultipliedLaw",
    "Multiplier",
    "SumOfLaws",
    "TemperatureCreep",
    "WeertmanSliding",
    "arrhenius",
    "cuffey_paterson",
]

_RENAMED = {
    "Coupled": "glacierbayes.laws.LongitudinalAverage",
    "Factor": "glacierbayes.laws.Multiplier",
    "Family": "glacierbayes.functions.FunctionFamily",
    "Function": "glacierbayes.functions.UnknownFunction",
    "GaussianProcess": "glacierbayes.functions.GaussianProcess",
    "NeuralNetwork": "glacierbayes.functions.NeuralNetwork",
    "Spline": "glacierbayes.functions.Spline",
}


def __getattr__(name: str) -> Any:
    raise renamed(__name__, name, _RENAMED)
