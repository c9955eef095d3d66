"""Longitudinal coupling: pushed and pulled by its neighbours, ice feels a slope averaged over some thicknesses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.errors import InputError
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.numerics.powers import as_scalar


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
    """A law at a slope squared that differs from that of the points, within a step: a share of it and some more.

    Attributes:
        law: the law.
        share: of the slope squared of the points.
        more: what is added to it.
    """

    law: FlowLaw
    share: Float[Array, " points"]
    more: Float[Array, " points"]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The law's, there."""
        return self.law.mobility(self._there(ice))

    def transpose(self, ice: LocalIce, cotangent: Array) -> tuple[Displaced, Array, Array]:
        """The law's."""
        of_law, of_thickness, of_slope = self.law.transpose(self._there(ice), cotangent)
        return Displaced(of_law, of_slope * ice.slope_squared, of_slope), of_thickness, of_slope * self.share

    def _there(self, ice: LocalIce) -> LocalIce:
        return LocalIce(ice.thickness, self.share * ice.slope_squared + self.more, ice.fields)


def displaced(law: FlowLaw, here: Array, felt: Array) -> Displaced:
    """A law that feels a slope squared `felt` where that of the points is `here`, both above 0.

    As that changes within the step, what is felt follows it by the same amount, or, where it is gentler, in the same
    proportion: of what one cell tilts its average feels little. By the same amount a rough surface would be stiff
    without being so: on Aletsch at 200 m 1.7 times the stages and ten times the error. To hold it would save a third
    more, but where the average is over less than a cell it lags, and lags swing in long steps.
    """
    return Displaced(law, jnp.minimum(felt / here, 1.0), jnp.maximum(felt - here, 0.0))
