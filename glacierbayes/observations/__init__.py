"""Observations of a glacier, one kind of data a file, and the class that every kind derives from."""

from glacierbayes.declarations import Variable
from glacierbayes.observations.base import Observation
from glacierbayes.observations.correlated import CorrelatedStudentT
from glacierbayes.observations.geodetic import GeodeticBalance
from glacierbayes.observations.observations import Observations
from glacierbayes.observations.velocity import NothingCovered, Velocity

__all__ = [
    "CorrelatedStudentT",
    "GeodeticBalance",
    "NothingCovered",
    "Observation",
    "Observations",
    "Variable",
    "Velocity",
]
