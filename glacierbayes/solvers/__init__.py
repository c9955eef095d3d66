"""Solvers of diffrax made for this equation, and `simulate`."""

from glacierbayes.solvers.implicit import Implicit
from glacierbayes.solvers.stabilised import Stabilised

__all__ = ["Implicit", "Stabilised"]
