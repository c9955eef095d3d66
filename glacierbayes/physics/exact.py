"""Exact solutions of the shallow-ice equation, to test against. Flat beds, constants as each paper states them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants


class Dome(eqx.Module):
    """A dome that stays similar to itself while it spreads, and grows where `growth` is above 0.

    With the flux gamma H^p s^n and a balance of growth / t times H, ice at distance r moves outwards at beta r / t, so
    that H^(p-1) s^n = beta r / (gamma t) is integrated once.

    Attributes:
        gamma: m and years.
        p, n: exponents of thickness and slope.
        radius: of the dome at `t0`, m.
        height: of its centre at `t0`, m.
        growth: of the volume, as a power of the age.
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
        """Age of the dome when it has `radius` and `height`, years; at age 0 it is a point, or nothing."""
        p, n = self.p, self.n
        shape = ((p - 1 + n) / (n + 1)) ** n * self.radius ** (n + 1) / self.height ** (p - 1 + n)
        return self._beta / self.gamma * shape

    def margin(self, t: Any) -> Any:
        """Distance of the margin from the centre at an age, m."""
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
        """The balance that goes with it, m of ice per year."""
        return self.growth / t * self.thickness(x, y, t)


class Halfar(Dome):
    """A dome that creeps by Glen's law.

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
        """A in Pa-n s-1, radius and height in m, density in kg m-3."""
        self.A, self.radius, self.height, self.growth = A, radius, height, growth
        self.gamma, self.p, self.n = creep_flux(A, n, density), n + 2, n


class SlidingDome(Dome):
    """A dome of ice that does not deform and slides by Weertman's law, by the derivation of Halfar's.

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
        """C in m s-1 Pa-m, radius and height in m, density in kg m-3."""
        self.C, self.radius, self.height, self.growth = C, radius, height, growth
        self.gamma = C * (density * constants.GRAVITY) ** m * constants.SECONDS_PER_YEAR
        self.p, self.n = m + 1, m


class Vialov(eqx.Module):
    """A round ice sheet in balance: the same snow everywhere, and a margin where all of it leaves.

    Vialov 1958; Bueler et al. 2005, doi 10.3189/172756505781829449, test A (0.3 m per year, 750 km).

    Attributes:
        A: creep parameter, Pa-n s-1.
        accumulation: m of ice per year.
        radius: m.
        n: Glen's exponent.
        density: of the ice, kg m-3.
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
    """A glacier in balance that flows over a step in its bed, in one dimension.

    Jarosch, Schoof and Anslow 2013, doi 10.5194/tc-7-229-2013: bed `step` m high up to `edge`, then 0. The
    balance gives the flux q = m0 x^n (L - x)^n / L^(2n-1), L the length; on each level part H^((n+2)/n) dH/dx is
    -(q / gamma)^(1/n). Where the ice below is thinner than the step, that above thins to nothing at the edge.

    Attributes:
        A: creep parameter, Pa-n s-1.
        scale: m0 of the balance, m of ice per year.
        length: of the glacier, m.
        edge: where the step is, m.
        step: its height, m.
        n: Glen's exponent.
        density: of the ice, kg m-3.
    """

    A: float
    scale: float = 2.0
    length: float = 20e3
    edge: float = 7e3
    step: float = 500.0
    n: float = 3.0
    density: float = constants.ICE_DENSITY

    def bed(self, x: Any) -> Float[Array, "*points"]:
        """Bed elevation, m."""
        return jnp.where(x < self.edge, self.step, 0.0)

    def balance(self, x: Any) -> Float[Array, "*points"]:
        """m of ice per year; x from the divide on, m."""
        n, rest = self.n, self.length - x
        return n * self.scale / self.length ** (2 * n - 1) * x ** (n - 1) * jnp.abs(rest) ** (n - 1) * (rest - x)

    def thickness(self, x: Any) -> Float[Array, "*points"]:
        """Ice thickness, m; x from the divide on, m."""
        n = self.n
        power = (2 * n + 2) / n
        gamma = creep_flux(self.A, n, self.density)
        factor = power * (self.scale / (gamma * self.length ** (2 * n - 1))) ** (1 / n)

        def below(at: Any) -> Any:
            """H to the power, were there no step."""
            left = jnp.maximum(self.length - at, 0.0)
            return factor * left**2 * (self.length + 2 * at) / 6

        foot = below(self.edge)
        brink = jnp.maximum(foot ** (1 / power) - self.step, 0.0) ** power
        return jnp.where(x < self.edge, below(x) - foot + brink, below(x)) ** (1 / power)


def creep_flux(A: float, n: float, density: float) -> float:
    """gamma of Glen's flux gamma H^(n+2) s^n, m and years."""
    return 2 * A * (density * constants.GRAVITY) ** n / (n + 2) * constants.SECONDS_PER_YEAR
