"""Weertman's law: sliding over a hard bed."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import Exponent, FlowLaw, LocalIce, as_scalar, power


class WeertmanSliding(FlowLaw):
    """Sliding speed = C (rho g H s)^m, the basal drag being the driving stress (Weertman 1957).

    Attributes:
        C: sliding parameter, m s-1 Pa-m.
        density: of the ice, kg m-3.
    """

    C: Float[Array, ""]
    exponent: Exponent
    density: float = eqx.field(static=True)

    def __init__(self, C: Any, m: Any = 3.0, density: float = constants.ICE_DENSITY):
        """C in m s-1 Pa-m; a plain number m is compiled in, an array m can be inferred."""
        self.C, self.exponent, self.density = as_scalar(C), Exponent(m), density

    @property
    def m(self) -> Any:
        """Weertman's exponent."""
        return self.exponent.value

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface speed over slope, m s-1: the whole column slides."""
        m = self.m
        weight = power(as_scalar(self.density * constants.GRAVITY), m)
        speed = self.C * weight * power(ice.thickness, m) * ice.slope_power(m - 1)
        return speed * ice.thickness, speed
