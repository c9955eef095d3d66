"""Multipliers of flow laws: unknown positive functions of the ice and the place.

A neural network evaluated at every face in every stage of a time step would cost more than twenty times what Glen's law
costs (`experiments/law_cost.py`). Within a step the ice changes little. The multiplier is therefore replaced by its
tangent in thickness and slope squared: the error of a step stays of third order, and the stages still see how the flux
responds to the slope. (A multiplier that is held constant over a step and changes as the n-th power of the slope makes
long steps unstable; one that is extrapolated from the steps before, as half that power.)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from glacierbayes.laws.base import FlowLaw, LocalIce, select_fields
from glacierbayes.numerics.masked_blocks import masked_block_map

MAX_RELATIVE_CHANGE = 0.5  # of the multiplier within a step; the tangent is not used further from where it was taken
MIN_MULTIPLIER_THICKNESS = 1.0  # m; thinner ice is treated as this thick: logarithms have no derivative at 0


class Multiplier(eqx.Module):
    """A positive multiplier of a law: `Glen(A) * multiplier` multiplies flux and surface velocity alike.

    To define one, write a subclass with the method `log`, twice differentiable in JAX. However costly it is (a neural
    network, say), it is evaluated once in a time step, and only where there is ice and beside it; within the step it
    follows thickness and slope to first order. The thickness that `log` gets is at least 1 m.
    """

    needs = ()  # names of the glacier's fields that `log` reads

    @abstractmethod
    def log(self, ice: LocalIce) -> Float[Array, "*points"]:
        """The natural logarithm of the multiplier at every point, of the shape of `ice.thickness`."""

    def multiply(self, law: FlowLaw) -> MultipliedLaw:
        """The law times this multiplier; `law * multiplier` calls it."""
        return MultipliedLaw(law, self)


class MultipliedLaw(FlowLaw):
    """A law times a multiplier.

    Attributes:
        law: the law.
        multiplier: the multiplier.
        fields: the fields that the multiplier needs, at the points, once they are bound.
    """

    law: FlowLaw
    multiplier: Multiplier
    fields: dict[str, Float[Array, "*points"]] = eqx.field(default_factory=dict)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of the law, both times the multiplier."""
        diffusivity, speed = self.law.mobility(ice)
        fields = {**ice.fields, **self.fields}
        value = jnp.exp(_log_value(self.multiplier, ice.thickness, ice.slope_squared, fields))
        return value * diffusivity, value * speed

    def bind_fields(self, fields: Mapping[str, Array]) -> MultipliedLaw:
        """The law and the multiplier, both with their fields bound.

        Raises:
            InputError: a field that one of them needs is missing.
        """
        return MultipliedLaw(self.law.bind_fields(fields), self.multiplier, select_fields(self.multiplier, fields))

    def linearize(self, ice: LocalIce, active: Bool[Array, " points"], reverse_mode: bool = False) -> FlowLaw:
        """The law times the tangent of the multiplier in thickness and slope squared; see `FlowLaw.linearize`."""
        law = self.law.linearize(ice, active, reverse_mode)
        return linearized(law, self.multiplier, ice.with_fields(self.fields), active, reverse_mode)


class LinearizedMultiplier(FlowLaw):
    """A law times the tangent of a multiplier: value * (1 + by_thickness H + by_slope_squared s^2 - origin).

    Attributes:
        law: the law.
        value: the multiplier at the start of the step.
        by_thickness: derivative of its logarithm by the thickness, per m.
        by_slope_squared: derivative of its logarithm by the square of the slope.
        origin: the sum of both terms at the start of the step.
    """

    law: FlowLaw
    value: Float[Array, " points"]
    by_thickness: Float[Array, " points"]
    by_slope_squared: Float[Array, " points"]
    origin: Float[Array, " points"]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity, m2 s-1, and surface mobility, m s-1, of the law, both times the tangent."""
        diffusivity, speed = self.law.mobility(ice)
        bounded = jnp.clip(self.relative_change(ice), -MAX_RELATIVE_CHANGE, MAX_RELATIVE_CHANGE)
        value = self.value * (1 + bounded)
        return value * diffusivity, value * speed

    def relative_change(self, ice: LocalIce) -> Float[Array, " points"]:
        """The relative change of the multiplier since the start of the step, before it is bounded."""
        return self.by_thickness * ice.thickness + self.by_slope_squared * ice.slope_squared - self.origin

    def transpose_diffusivity(self, ice: LocalIce, cotangent: Array) -> tuple[LinearizedMultiplier, Array, Array]:
        """The transpose of the derivative of the diffusivity; see `FlowLaw.transpose_diffusivity`."""
        # By hand, so that what the cotangents of the five attributes share is computed once.
        diffusivity, change = self.law.mobility(ice)[0], self.relative_change(ice)
        bounded = 1 + jnp.clip(change, -MAX_RELATIVE_CHANGE, MAX_RELATIVE_CHANGE)
        within = jnp.abs(change) < MAX_RELATIVE_CHANGE
        ct_change = jnp.where(within, cotangent * self.value * diffusivity, 0.0)
        ct_value, ct_change, ct_diffusivity = lax.optimization_barrier(
            (cotangent * diffusivity * bounded, ct_change, cotangent * self.value * bounded)
        )
        ct_law, ct_thickness, ct_slope_squared = self.law.transpose_diffusivity(ice, ct_diffusivity)
        by_thickness, by_slope_squared = ct_change * ice.thickness, ct_change * ice.slope_squared
        ct_law = LinearizedMultiplier(ct_law, ct_value, by_thickness, by_slope_squared, -ct_change)
        ct_thickness += ct_change * self.by_thickness
        return ct_law, ct_thickness, ct_slope_squared + ct_change * self.by_slope_squared


def _log_value(multiplier: Multiplier, thickness: Array, slope_squared: Array, fields: dict[str, Array]) -> Array:
    return multiplier.log(LocalIce(jnp.maximum(thickness, MIN_MULTIPLIER_THICKNESS), slope_squared, fields))


def linearized(
    law: FlowLaw, multiplier: Multiplier, ice: LocalIce, active: Bool[Array, " points"], reverse_mode: bool
) -> LinearizedMultiplier:
    """A law times the tangent of a multiplier at this ice; where a point is not active the multiplier is 1.

    Args:
        law: the law.
        multiplier: the multiplier, whose fields are in `ice`.
        ice: the ice at one vector of points.
        active: the points at which the multiplier is evaluated.
        reverse_mode: whether the result must be open to reverse-mode differentiation only.
    """

    def value_and_derivatives(multiplier: Multiplier, ice: LocalIce) -> tuple[Array, Array, Array]:
        thickness, slope_squared, one = ice.thickness, ice.slope_squared, jnp.ones_like(ice.thickness)

        def by_thickness(h: Array) -> Array:
            return _log_value(multiplier, h, slope_squared, ice.fields)

        def by_slope_squared(s: Array) -> Array:
            return _log_value(multiplier, thickness, s, ice.fields)

        # one input at a time: a tangent of zeros along the other would be computed, not left out
        value, per_thickness = jax.jvp(by_thickness, (thickness,), (one,))
        return value, per_thickness, jax.jvp(by_slope_squared, (slope_squared,), (one,))[1]

    value, by_thickness, by_slope_squared = masked_block_map(
        active, value_and_derivatives, multiplier, ice, reverse_mode
    )
    origin = by_thickness * ice.thickness + by_slope_squared * ice.slope_squared
    return LinearizedMultiplier(law, jnp.exp(value), by_thickness, by_slope_squared, origin)
