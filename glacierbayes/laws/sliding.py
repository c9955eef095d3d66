"""Sliding over hard and soft beds; the basal drag is the driving stress."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.numerics.powers import Exponent, as_scalar, power

MOST_BORNE = 0.99  # r^p of `CoulombSliding`


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


class BuddSliding(FlowLaw):
    """Sliding speed = C (rho g H s)^m / N, N the effective pressure at the bed (Budd et al. 1979).

    N is a share of the weight of the ice; the rest is carried by water.

    Attributes:
        C: sliding parameter, m s-1 Pa(1-m).
        effective: effective pressure over ice overburden pressure, above 0, at most 1.
        density: of the ice, kg m-3.
    """

    C: Float[Array, ""]
    effective: Float[Array, ""]
    exponent: Exponent
    density: float = eqx.field(static=True)

    def __init__(self, C: Any, m: Any = 3.0, effective: Any = 0.2, density: float = constants.ICE_DENSITY):
        """C in m s-1 Pa(1-m); a plain number m is compiled in, an array m can be inferred."""
        self.C, self.effective = as_scalar(C), as_scalar(effective)
        self.exponent, self.density = Exponent(m), density

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface speed over slope, m s-1: the whole column slides."""
        m = self.exponent.value
        weight = as_scalar(self.density * constants.GRAVITY)
        # H^m over H by exponents: finite where there is no ice
        speed = self.C / self.effective * power(weight, m - 1) * power(ice.thickness, m - 1) * ice.slope_power(m - 1)
        return speed * ice.thickness, speed


class CoulombSliding(FlowLaw):
    """Sliding over till that bears no more than Coulomb's drag: drag = f N (u / (u + u_t))^(1/p).

    Zoet and Iverson 2020, doi 10.1126/science.aaz1183 (and of the form of Schoof 2005, doi 10.1098/rspa.2004.1350),
    solved for u at the driving stress: with N a share e of the weight of the ice, r = s / (f e) and
    u = u_t r^p / (1 - r^p). Where the driving stress comes within a hundredth of what the bed bears, and beyond, other
    stresses must carry the ice, which shallow ice has not: r^p is held at 0.99.

    Attributes:
        transition_speed: u_t, m s-1.
        friction: f, tangent of the till's friction angle.
        effective: e, effective pressure over ice overburden pressure.
        exponent: p.
    """

    transition_speed: Float[Array, ""]
    friction: Float[Array, ""]
    effective: Float[Array, ""]
    exponent: Exponent

    def __init__(self, transition_speed: Any, friction: Any = 0.6, effective: Any = 0.5, p: Any = 5.0):
        """transition_speed in m s-1; a plain number p is compiled in, an array p can be inferred."""
        self.transition_speed, self.friction = as_scalar(transition_speed), as_scalar(friction)
        self.effective, self.exponent = as_scalar(effective), Exponent(p)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface speed over slope, m s-1: the whole column slides."""
        p, bearing = self.exponent.value, self.friction * self.effective
        borne = jnp.minimum(ice.slope_power(p) / power(bearing, p), MOST_BORNE)
        held = jnp.minimum(ice.slope_squared, bearing**2 * MOST_BORNE ** (2 / p))
        over_slope = power(held, (p - 1) / 2) / power(bearing, p)  # r^p / s below the limit
        fast = jnp.sqrt(held / ice.slope_squared)  # beyond it the speed stays
        speed = jnp.where(ice.thickness > 0, self.transition_speed * over_slope * fast / (1 - borne), 0.0)
        return speed * ice.thickness, speed
