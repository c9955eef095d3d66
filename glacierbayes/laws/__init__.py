"""Flow laws, one a file."""

from glacierbayes.laws.base import FlowLaw, LocalIce, SumOfLaws
from glacierbayes.laws.glen import Glen
from glacierbayes.laws.sliding import WeertmanSliding

__all__ = ["FlowLaw", "Glen", "LocalIce", "SumOfLaws", "WeertmanSliding"]
