"""Flow laws and multipliers of them, one a file."""

from glacierbayes.laws.base import FlowLaw, LocalIce, SumOfLaws
from glacierbayes.laws.correction import Correction
from glacierbayes.laws.coupled import Coupled
from glacierbayes.laws.factor import Factor
from glacierbayes.laws.glen import Glen
from glacierbayes.laws.sliding import BuddSliding, CoulombSliding, WeertmanSliding
from glacierbayes.laws.temperature import TemperatureCreep, arrhenius, cuffey_paterson

__all__ = [
    "BuddSliding",
    "Correction",
    "CoulombSliding",
    "Coupled",
    "Factor",
    "FlowLaw",
    "Glen",
    "LocalIce",
    "SumOfLaws",
    "TemperatureCreep",
    "WeertmanSliding",
    "arrhenius",
    "cuffey_paterson",
]
