"""Creep that depends on temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce, needed
from glacierbayes.laws.glen import Glen
from glacierbayes.numerics.powers import Exponent

# Cuffey and Paterson 2010, Table 3.4: temperature, degC, and recommended creep parameter, Pa-3 s-1
TABLE = (
    (-50.0, 2.6e-27),
    (-45.0, 5.2e-27),
    (-40.0, 1.0e-26),
    (-35.0, 2.0e-26),
    (-30.0, 3.7e-26),
    (-25.0, 6.8e-26),
    (-20.0, 1.2e-25),
    (-15.0, 2.1e-25),
    (-10.0, 3.5e-25),
    (-5.0, 9.3e-25),
    (-2.0, 1.7e-24),
    (0.0, 2.4e-24),
)
GAS_CONSTANT = 8.314  # J mol-1 K-1
FREEZING = 273.15  # K
KNEE = -10.0  # degC; above it the activation energy is the larger one
AT_KNEE = 3.5e-25  # Pa-3 s-1
COLD_ENERGY, WARM_ENERGY = 60e3, 115e3  # J mol-1


def cuffey_paterson(temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
    """Creep parameter, Pa-3 s-1, by Table 3.4 of Cuffey and Paterson 2010; its logarithm is linear in between.

    Args:
        temperature: degC; outside -50 to 0 that of the end.
    """
    known, creep = zip(*TABLE, strict=True)
    return jnp.exp(jnp.interp(temperature, jnp.asarray(known), jnp.log(jnp.asarray(creep))))


def arrhenius(temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
    """Creep parameter, Pa-3 s-1, by Cuffey and Paterson 2010, eq. 3.35, without the effect of pressure.

    Args:
        temperature: degC.
    """
    energy = jnp.where(temperature > KNEE, WARM_ENERGY, COLD_ENERGY)
    return AT_KNEE * jnp.exp(-energy / GAS_CONSTANT * (1 / (temperature + FREEZING) - 1 / (KNEE + FREEZING)))


class TemperatureCreep(FlowLaw):
    """Glen's law with A(T) = typical(T) exp(departure(T)), T the glacier's field "temperature", degC.

    Attributes:
        departure: function of the temperature, such as a `Function`; a known or an unknown one.
        typical: creep parameter about which it departs, Pa-n s-1: a number, or a function of the temperature such as
            `cuffey_paterson`.
        density: of the ice, kg m-3.
    """

    departure: Callable
    typical: Any
    exponent: Exponent
    density: float = eqx.field(static=True)
    needs: ClassVar[tuple[str, ...]] = ("temperature",)

    def __init__(
        self,
        departure: Callable,
        typical: Any = constants.CREEP_PARAMETER,
        n: Any = 3.0,
        density: float = constants.ICE_DENSITY,
    ):
        """See the class."""
        self.departure, self.typical = departure, typical
        self.exponent, self.density = Exponent(n), density

    def creep(self, temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The creep parameter at temperatures in degC, Pa-n s-1."""
        typical: Any = self.typical(temperature) if callable(self.typical) else self.typical
        return typical * jnp.exp(self.departure(temperature))

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Glen's, with the creep parameter of the place."""
        return self._glen(ice["temperature"]).mobility(ice)

    def at(self, fields: Mapping[str, Array]) -> Glen:
        """Glen's law with the creep parameter at every point: once a run, whatever the function costs."""
        return self._glen(needed(self, fields)["temperature"])

    def _glen(self, temperature: Array) -> Glen:
        return Glen(self.creep(temperature), self.exponent.value, self.density)
