"""Glen's law: creep of ice under its own weight."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.numerics.powers import Exponent, as_scalar, power


class Glen(FlowLaw):
    """Creep of isothermal ice, strain rate = A stress^n.

    D = 2A/(n+2) (rho g)^n H^(n+2) s^(n-1), surface speed = 2A/(n+1) (rho g)^n H^(n+1) s^n:
    Cuffey and Paterson 2010, eq. 8.34 to 8.36; Bueler et al. 2005, doi 10.3189/172756505781829449.

    Attributes:
        A: creep parameter, Pa-n s-1, one for all points or one for each (`TemperatureCreep`). In the shallow-ice
            equation it is an effective parameter, since there is no lateral drag.
        exponent: Glen's exponent n.
        density: density of the ice, kg m-3.
    """

    A: Float[Array, "*points"]
    exponent: Exponent
    density: float = eqx.field(static=True)

    def __init__(self, A: Any, n: Any = 3.0, density: float = constants.ICE_DENSITY):
        """A in Pa-n s-1; a plain number n is compiled in, an array n can be inferred."""
        self.A, self.exponent, self.density = as_scalar(A), Exponent(n), density

    @property
    def n(self) -> Any:
        """Glen's exponent n."""
        return self.exponent.value

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface speed over slope, m s-1."""
        n = self.n
        shared = 2 * self.A * power(as_scalar(self.density * constants.GRAVITY), n) * ice.slope_power(n - 1)
        return (
            shared / (n + 2) * power(ice.thickness, n + 2),
            shared / (n + 1) * power(ice.thickness, n + 1),
        )
