"""Flow laws, one a file."""

from glacierbayes.laws.base import FlowLaw, LocalIce, SumOfLaws
from glacierbayes.laws.factor import Factor
from glacierbayes.laws.glen import Glen
from glacierbayes.laws.sliding import WeertmanSliding

__all__ = ["Factor", "FlowLaw", "Glen", "LocalIce", "SumOfLaws", "WeertmanSliding"]
