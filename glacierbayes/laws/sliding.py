"""Sliding over hard and soft beds. The basal drag equals the driving stress."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.numerics.powers import Exponent, as_scalar, power

MAX_DRAG_RATIO = 0.99  # largest r^p of `CoulombSliding`


class WeertmanSliding(FlowLaw):
    """Sliding speed = C (rho g H s)^m, the basal drag being the driving stress (Weertman 1957).

    Attributes:
        C: sliding parameter, m s-1 Pa-m.
        exponent: m.
        density: density of the ice, kg m-3.
    """

    C: Float[Array, ""]
    exponent: Exponent
    density: float = eqx.field(static=True)

    def __init__(self, C: Any, m: Any = 3.0, density: float = constants.ICE_DENSITY):
        """C in m s-1 Pa-m; a plain number m is compiled in, an array m can be inferred."""
        self.C, self.exponent, self.density = as_scalar(C), Exponent(m), density

    @property
    def m(self) -> Any:
        """Weertman's exponent m."""
        return self.exponent.value

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface speed over slope, m s-1: the whole column slides."""
        m = self.m
        weight = power(as_scalar(self.density * constants.GRAVITY), m)
        speed = self.C * weight * power(ice.thickness, m) * ice.slope_power(m - 1)
        return speed * ice.thickness, speed


class BuddSliding(FlowLaw):
    """Sliding speed = C (rho g H s)^m / N, N the effective pressure at the bed (Budd et al. 1979).

    N is a share of the ice overburden pressure; water carries the rest.

    Attributes:
        C: sliding parameter, m s-1 Pa(1-m).
        effective: effective pressure over ice overburden pressure, above 0, at most 1.
        exponent: m.
        density: density of the ice, kg m-3.
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
    solved for the speed u at which the drag equals the driving stress. N is the share e of the ice overburden
    pressure, so that r = s / (f e) and u = u_t r^p / (1 - r^p). Where the driving stress approaches the strength of the
    bed, or exceeds it, stresses that the shallow-ice approximation neglects must carry the ice; r^p is bounded by 0.99.

    Attributes:
        transition_speed: the speed u_t, m s-1.
        friction: f, the tangent of the till's friction angle (dimensionless).
        effective: e, the effective pressure over the ice overburden pressure (dimensionless).
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
        p, strength = self.exponent.value, self.friction * self.effective
        drag_ratio = jnp.minimum(ice.slope_power(p) / power(strength, p), MAX_DRAG_RATIO)
        bounded = jnp.minimum(ice.slope_squared, strength**2 * MAX_DRAG_RATIO ** (2 / p))
        over_slope = power(bounded, (p - 1) / 2) / power(strength, p)  # r^p / s below the limit
        constant_speed = jnp.sqrt(bounded / ice.slope_squared)  # beyond it the speed stays
        speed = jnp.where(
            ice.thickness > 0, self.transition_speed * over_slope * constant_speed / (1 - drag_ratio), 0.0
        )
        return speed * ice.thickness, speed
