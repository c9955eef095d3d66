"""Solvers of diffrax made for this equation."""

from glacierbayes.solvers.implicit import Implicit
from glacierbayes.solvers.stabilised import Stabilised

__all__ = ["Implicit", "Stabilised"]
