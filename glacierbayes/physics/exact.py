"""Exact solutions of the shallow-ice equation, to test against."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants


class Halfar(eqx.Module):
    """A dome that spreads over a flat bed without any balance, always similar to itself.

    Halfar 1983, doi 10.1029/JC088iC10p06043, as in Bueler et al. 2005, doi 10.3189/172756505781829449, test B. With
    A = 1e-16 Pa-3 yr-1, 910 kg m-3, 750 km and 3600 m, `t0` is 422.45 years.

    Attributes:
        A: creep parameter, Pa-n s-1.
        radius: of the dome at `t0`, m.
        height: of its centre at `t0`, m.
        n: Glen's exponent.
        density: of the ice, kg m-3.
    """

    A: float
    radius: float
    height: float
    n: float = 3.0
    density: float = constants.ICE_DENSITY

    @property
    def t0(self) -> float:
        """Age of the dome when it has `radius` and `height`, years; at age 0 it is a point."""
        n = self.n
        mobility = 2 * self.A * (self.density * constants.GRAVITY) ** n / (n + 2)
        shape = ((2 * n + 1) / (n + 1)) ** n * self.radius ** (n + 1) / self.height ** (2 * n + 1)
        return shape / ((5 * n + 3) * mobility * constants.SECONDS_PER_YEAR)

    def thickness(self, x: Any, y: Any, t: Any) -> Float[Array, "*points"]:
        """Ice thickness, m.

        Args:
            x, y: distance from the centre, m; broadcast against each other.
            t: age, years; above 0.
        """
        n, age = self.n, t / self.t0
        height = self.height * age ** (-2 / (5 * n + 3))
        radius = self.radius * age ** (1 / (5 * n + 3))
        distance = (x**2 + y**2) / radius**2
        inside = distance < 1
        profile = 1 - jnp.where(inside, distance, 0.0) ** ((n + 1) / (2 * n))
        return height * jnp.where(inside, profile ** (n / (2 * n + 1)), 0.0)
