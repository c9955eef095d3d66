"""Creep that depends on temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes import constants
from glacierbayes.laws.base import FlowLaw, LocalIce, select_fields
from glacierbayes.laws.glen import Glen
from glacierbayes.numerics.powers import Exponent

# Cuffey and Paterson 2010, Table 3.4: temperature, degC, and recommended creep parameter, Pa-3 s-1
CREEP_TABLE = (
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
REFERENCE_TEMPERATURE = -10.0  # degC; above it the activation energy is the larger one
REFERENCE_CREEP = 3.5e-25  # Pa-3 s-1, at that temperature
COLD_ENERGY, WARM_ENERGY = 60e3, 115e3  # J mol-1


def cuffey_paterson(temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
    """The creep parameter by Table 3.4 of Cuffey and Paterson 2010, with its logarithm interpolated linearly.

    Args:
        temperature: degC; below -50 and above 0 the value at that end is taken.

    Returns:
        Pa-3 s-1, of the shape of `temperature`.
    """
    known, creep = zip(*CREEP_TABLE, strict=True)
    return jnp.exp(jnp.interp(temperature, jnp.asarray(known), jnp.log(jnp.asarray(creep))))


def arrhenius(temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
    """The creep parameter by Cuffey and Paterson 2010, eq. 3.35, without the effect of pressure.

    Args:
        temperature: degC.

    Returns:
        Pa-3 s-1, of the shape of `temperature`.
    """
    energy = jnp.where(temperature > REFERENCE_TEMPERATURE, WARM_ENERGY, COLD_ENERGY)
    inverse = 1 / (temperature + FREEZING) - 1 / (REFERENCE_TEMPERATURE + FREEZING)
    return REFERENCE_CREEP * jnp.exp(-energy / GAS_CONSTANT * inverse)


class TemperatureCreep(FlowLaw):
    """Glen's law with A(T) = typical(T) exp(departure(T)), T the glacier's field "temperature", degC.

    Attributes:
        departure: function of the temperature in degC, known or unknown (a `functions.UnknownFunction`, for example);
            the logarithm of A over the typical A.
        typical: the typical creep parameter, Pa-n s-1: a number, or a function of the temperature such as
            `cuffey_paterson`.
        exponent: Glen's exponent n.
        density: density of the ice, kg m-3.
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
        """The exponent n may be a plain number, which is compiled in, or an array, which can be inferred."""
        self.departure, self.typical = departure, typical
        self.exponent, self.density = Exponent(n), density

    def creep(self, temperature: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The creep parameter at temperatures in degC; Pa-n s-1, of the shape of `temperature`."""
        typical: Any = self.typical(temperature) if callable(self.typical) else self.typical
        return typical * jnp.exp(self.departure(temperature))

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of Glen's law at the temperature of every point."""
        return self._glen(ice["temperature"]).mobility(ice)

    def bind_fields(self, fields: Mapping[str, Array]) -> Glen:
        """Glen's law with the creep parameter at every point, so that the function is evaluated once in a run.

        Raises:
            InputError: the glacier has no field "temperature".
        """
        return self._glen(select_fields(self, fields)["temperature"])

    def _glen(self, temperature: Array) -> Glen:
        return Glen(self.creep(temperature), self.exponent.value, self.density)
