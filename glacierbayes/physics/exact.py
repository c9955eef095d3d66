"""Exact solutions of the shallow-ice equation on flat beds, with constants as each paper states them, for tests."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants


class Dome(eqx.Module):
    """A self-similar dome that spreads, and whose volume increases where `growth` is above 0.

    With the flux gamma H^p s^n and a balance of growth / t times H, ice at distance r moves outwards at beta r / t, so
    that H^(p-1) s^n = beta r / (gamma t) is integrated once.

    Attributes:
        gamma: factor of the flux, in m and years.
        p, n: exponents of thickness and slope.
        radius: radius of the dome at the age `t0`, m.
        height: thickness at its centre at the age `t0`, m.
        growth: exponent of the age in the volume; 0 for a constant volume.
    """

    gamma: float
    p: float
    n: float
    radius: float
    height: float
    growth: float

    @property
    def _beta(self) -> float:
        p, n = self.p, self.n
        return (1 + self.growth * (p - 1 + n)) / (1 + 2 * (p - 1) + 3 * n)

    @property
    def t0(self) -> float:
        """The age at which the dome has `radius` and `height`, years. At age 0 its radius is 0."""
        p, n = self.p, self.n
        shape = ((p - 1 + n) / (n + 1)) ** n * self.radius ** (n + 1) / self.height ** (p - 1 + n)
        return self._beta / self.gamma * shape

    def margin(self, t: Any) -> Any:
        """Distance of the margin from the centre at the age `t` in years, m."""
        return self.radius * (t / self.t0) ** self._beta

    def thickness(self, x: Any, y: Any, t: Any) -> Float[Array, "*points"]:
        """Ice thickness, m.

        Args:
            x, y: distance from the centre, m; broadcast against each other.
            t: age, years; above 0.
        """
        p, n = self.p, self.n
        height = self.height * (t / self.t0) ** (self.growth - 2 * self._beta)
        distance = (x**2 + y**2) / self.margin(t) ** 2
        inside = distance < 1
        profile = 1 - jnp.where(inside, distance, 0.0) ** ((n + 1) / (2 * n))
        return height * jnp.where(inside, profile ** (n / (p - 1 + n)), 0.0)

    def balance(self, x: Any, y: Any, t: Any) -> Float[Array, "*points"]:
        """The mass balance that belongs to the solution, m of ice per year; arguments as for `thickness`."""
        return self.growth / t * self.thickness(x, y, t)


class Halfar(Dome):
    """A dome that flows by Glen's law.

    Halfar 1983, doi 10.1029/JC088iC10p06043; Bueler et al. 2005, doi 10.3189/172756505781829449. With
    A = 1e-16 Pa-3 yr-1, 910 kg m-3, 750 km and 3600 m, `t0` is 422.45 years without a balance (Bueler's test B) and
    15208 years with growth 5 (test C).

    Attributes:
        A: creep parameter, Pa-n s-1.
    """

    A: float

    def __init__(
        self,
        A: float,
        radius: float,
        height: float,
        n: float = 3.0,
        density: float = constants.ICE_DENSITY,
        growth: float = 0.0,
    ):
        """A is in Pa-n s-1, radius and height are in m, the density is in kg m-3."""
        self.A, self.radius, self.height, self.growth = A, radius, height, growth
        self.gamma, self.p, self.n = creep_flux(A, n, density), n + 2, n


class SlidingDome(Dome):
    """A dome that slides by Weertman's law and does not deform, derived in the same way as Halfar's.

    Attributes:
        C: sliding parameter, m s-1 Pa-m.
    """

    C: float

    def __init__(
        self,
        C: float,
        radius: float,
        height: float,
        m: float = 3.0,
        density: float = constants.ICE_DENSITY,
        growth: float = 0.0,
    ):
        """C is in m s-1 Pa-m, radius and height are in m, the density is in kg m-3."""
        self.C, self.radius, self.height, self.growth = C, radius, height, growth
        self.gamma = C * (density * constants.GRAVITY) ** m * constants.SECONDS_PER_YEAR
        self.p, self.n = m + 1, m


class Vialov(eqx.Module):
    """A round ice sheet in steady state, with uniform accumulation and ablation at the margin only.

    Vialov 1958; Bueler et al. 2005, doi 10.3189/172756505781829449, test A (0.3 m per year, 750 km).

    Attributes:
        A: creep parameter, Pa-n s-1.
        accumulation: accumulation rate, m of ice per year.
        radius: radius of the ice sheet, m.
        n: Glen's exponent.
        density: density of the ice, kg m-3.
    """

    A: float
    accumulation: float
    radius: float
    n: float = 3.0
    density: float = constants.ICE_DENSITY

    def thickness(self, x: Any, y: Any) -> Float[Array, "*points"]:
        """Ice thickness, m; x and y are distances from the centre, m, broadcast against each other."""
        n = self.n
        scale = (self.accumulation / (2 * creep_flux(self.A, n, self.density))) ** (1 / n)
        distance = jnp.minimum(jnp.sqrt(x**2 + y**2), self.radius)
        power = (n + 1) / n
        return (2 * scale * (self.radius**power - distance**power)) ** (n / (2 * n + 2))


class Cliff(eqx.Module):
    """A glacier in steady state that flows over a step in its bed, in one dimension.

    Jarosch, Schoof and Anslow 2013, doi 10.5194/tc-7-229-2013: bed `step` m high up to `edge`, then 0. The
    balance gives the flux q = m0 x^n (L - x)^n / L^(2n-1), L the length; on each level part H^((n+2)/n) dH/dx is
    -(q / gamma)^(1/n). Where the ice below is thinner than the step, that above thins to nothing at the edge.

    Attributes:
        A: creep parameter, Pa-n s-1.
        scale: m0 of the balance, m of ice per year.
        length: length of the glacier, m.
        edge: distance of the step from the divide, m.
        step: height of the step, m.
        n: Glen's exponent.
        density: density of the ice, kg m-3.
    """

    A: float
    scale: float = 2.0
    length: float = 20e3
    edge: float = 7e3
    step: float = 500.0
    n: float = 3.0
    density: float = constants.ICE_DENSITY

    def bed(self, x: Any) -> Float[Array, "*points"]:
        """Bed elevation, m; x is the distance from the divide, m."""
        return jnp.where(x < self.edge, self.step, 0.0)

    def balance(self, x: Any) -> Float[Array, "*points"]:
        """The mass balance, m of ice per year; x is the distance from the divide, m."""
        n, rest = self.n, self.length - x
        return n * self.scale / self.length ** (2 * n - 1) * x ** (n - 1) * jnp.abs(rest) ** (n - 1) * (rest - x)

    def thickness(self, x: Any) -> Float[Array, "*points"]:
        """Ice thickness, m; x is the distance from the divide, m."""
        n = self.n
        power = (2 * n + 2) / n
        gamma = creep_flux(self.A, n, self.density)
        factor = power * (self.scale / (gamma * self.length ** (2 * n - 1))) ** (1 / n)

        def below(at: Any) -> Any:
            """H to the power, as it would be without the step."""
            left = jnp.maximum(self.length - at, 0.0)
            return factor * left**2 * (self.length + 2 * at) / 6

        foot = below(self.edge)
        brink = jnp.maximum(foot ** (1 / power) - self.step, 0.0) ** power
        return jnp.where(x < self.edge, below(x) - foot + brink, below(x)) ** (1 / power)


def creep_flux(A: float, n: float, density: float) -> float:
    """The factor gamma of Glen's flux gamma H^(n+2) s^n, in m and years.

    Args:
        A: creep parameter, Pa-n s-1.
        n: Glen's exponent.
        density: density of the ice, kg m-3.
    """
    return 2 * A * (density * constants.GRAVITY) ** n / (n + 2) * constants.SECONDS_PER_YEAR
