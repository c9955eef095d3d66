"""Longitudinal coupling: pushed and pulled by its neighbours, ice feels a slope averaged over some thicknesses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.errors import InputError
from glacierbayes.laws.base import FlowLaw, LocalIce, as_scalar


class Coupled(FlowLaw):
    """A law at the slope that `physics.slope.averaged` gives; the ice still runs down its own.

    D and the surface mobility are those of the averaged slope, so that flux and velocity are D s and M s as ever, and
    ice never runs up. In valley glaciers the length is 1 to 3 thicknesses (Kamb and Echelmeyer 1986, doi
    10.3189/S0022143000015604). It must be the outermost: `Coupled(Glen(A) + WeertmanSliding(C), 2.0)`.

    Attributes:
        law: the law.
        thicknesses: length of the average over the thickness of the ice.
    """

    law: FlowLaw
    thicknesses: Float[Array, ""]

    def __init__(self, law: FlowLaw, thicknesses: Any):
        """The number may be inferred."""
        self.law, self.thicknesses = law, as_scalar(thicknesses)

    def at(self, fields: Mapping[str, Array]) -> Coupled:
        """The law there."""
        return Coupled(self.law.at(fields), self.thicknesses)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Needs the ice around: `simulate` asks the law inside.

        Raises:
            InputError: always; it is within another law.
        """
        raise InputError("Coupled must be the outermost law: Coupled(Glen(...) + WeertmanSliding(...), thicknesses)")


def uncoupled(law: FlowLaw) -> tuple[FlowLaw, Array | None]:
    """The law itself, and over how many thicknesses it averages the slope; None for not at all."""
    return (law.law, law.thicknesses) if isinstance(law, Coupled) else (law, None)


class Displaced(FlowLaw):
    """A law at a slope squared that differs from that of the points: within a step by a fixed amount.

    Attributes:
        law: the law.
        more: what is added to the slope squared; the sum is at least `least`.
    """

    law: FlowLaw
    more: Float[Array, " points"]
    least: float = eqx.field(static=True)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The law's, there."""
        return self.law.mobility(self._there(ice))

    def transpose(self, ice: LocalIce, cotangent: Array) -> tuple[Displaced, Array, Array]:
        """The law's; none for the slope where it is held."""
        of_law, of_thickness, of_slope = self.law.transpose(self._there(ice), cotangent)
        of_slope = jnp.where(ice.slope_squared + self.more > self.least, of_slope, 0.0)
        return Displaced(of_law, of_slope, self.least), of_thickness, of_slope

    def _there(self, ice: LocalIce) -> LocalIce:
        return LocalIce(ice.thickness, jnp.maximum(ice.slope_squared + self.more, self.least), ice.fields)
