"""Longitudinal averaging: ice flows by the surface slope averaged over some ice thicknesses, not by the local slope.

Longitudinal stress gradients transmit the driving stress along a glacier (Kamb and Echelmeyer 1986, doi
10.3189/S0022143000015604).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from glacierbayes.errors import InputError
from glacierbayes.laws.base import FlowLaw, LocalIce
from glacierbayes.numerics.powers import as_scalar


class LongitudinalAverage(FlowLaw):
    """A law evaluated at the slope that `physics.slope.averaged_slope_squared` gives.

    Diffusivity D and surface mobility M are those at the averaged slope. Flux and velocity remain D s and M s with the
    local slope s, so that ice never flows uphill. In valley glaciers the averaging length is 1 to 3 ice thicknesses
    (Kamb and Echelmeyer 1986). This law must be the outermost:
    `LongitudinalAverage(Glen(A) + WeertmanSliding(C), 2.0)`.

    Attributes:
        law: the law.
        thicknesses: averaging length over ice thickness (dimensionless).
    """

    law: FlowLaw
    thicknesses: Float[Array, ""]

    def __init__(self, law: FlowLaw, thicknesses: Any):
        """The number of thicknesses is a number, or a scalar array that is inferred."""
        self.law, self.thicknesses = law, as_scalar(thicknesses)

    def bind_fields(self, fields: Mapping[str, Array]) -> LongitudinalAverage:
        """The same average of the law inside with its fields bound; see `FlowLaw.bind_fields`.

        Args:
            fields: arrays of the glacier at the points, by name.

        Raises:
            InputError: a field that the law needs is missing.
        """
        return LongitudinalAverage(self.law.bind_fields(fields), self.thicknesses)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Not available, since the average needs the ice around a point; the solver evaluates the law inside.

        Raises:
            InputError: always, because this law was put within another one.
        """
        raise InputError(
            "LongitudinalAverage must be the outermost law: "
            "LongitudinalAverage(Glen(...) + WeertmanSliding(...), thicknesses)"
        )


def split_average(law: FlowLaw) -> tuple[FlowLaw, Array | None]:
    """The law without its longitudinal average, and the averaging length in ice thicknesses; None for no average."""
    return (law.law, law.thicknesses) if isinstance(law, LongitudinalAverage) else (law, None)


class AveragedSlopeLaw(FlowLaw):
    """A law at an averaged slope within a time step: the averaged slope squared is a linear function of the local one.

    Attributes:
        law: the law.
        scale: factor on the square of the local slope.
        offset: what is added to it.
    """

    law: FlowLaw
    scale: Float[Array, " points"]
    offset: Float[Array, " points"]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of the law at the averaged slope."""
        return self.law.mobility(self._averaged(ice))

    def transpose_diffusivity(self, ice: LocalIce, cotangent: Array) -> tuple[AveragedSlopeLaw, Array, Array]:
        """The transpose of the derivative of the diffusivity; see `FlowLaw.transpose_diffusivity`."""
        ct_law, ct_thickness, ct_average = self.law.transpose_diffusivity(self._averaged(ice), cotangent)
        ct_self = AveragedSlopeLaw(ct_law, ct_average * ice.slope_squared, ct_average)
        return ct_self, ct_thickness, ct_average * self.scale

    def _averaged(self, ice: LocalIce) -> LocalIce:
        return LocalIce(ice.thickness, self.scale * ice.slope_squared + self.offset, ice.fields)


def at_averaged_slope(law: FlowLaw, local: Array, average: Array) -> AveragedSlopeLaw:
    """The law for a step that starts with these squares of the local and of the averaged slope, both above 0.

    As the local slope changes within the step, the averaged slope squared changes by the same amount, or, where it is
    the smaller one, in the same proportion, since the tilt of one cell changes its average little. Changing it by the
    same amount everywhere would make rough surfaces stiff: on Aletsch at 200 m 1.7 times the stages and ten times the
    error. Holding it constant would save a third more, but where the average is over less than a cell it then lags
    behind, and long steps oscillate.

    Args:
        law: the law.
        local: square of the local slope at the start of the step.
        average: square of the averaged slope at the start of the step, of the same shape.
    """
    return AveragedSlopeLaw(law, jnp.minimum(average / local, 1.0), jnp.maximum(average - local, 0.0))
