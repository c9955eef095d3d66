"""Factors of laws: functions of the ice and the place that nobody knows.

A neural network at every face costs twenty times what Glen's law does and more, were it evaluated in every stage
(`experiments/law_cost.py`). Within a step the ice changes little: the factor follows thickness and slope squared along
its tangent, so that the error of a step stays of third order and the stages feel how the flux answers to the slope.
(Held over a step, a factor that changes as the n-th power of the slope would make long steps unstable; extrapolated in
time from the steps before, half that power would.)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from glacierbayes.laws.base import FlowLaw, LocalIce, needed
from glacierbayes.numerics import masked_blocks

MOST_CHANGE = 0.5  # of the factor within a step, as a share; further from where it touches, a tangent says nothing
LEAST_THICKNESS = 1.0  # m; thinner ice has the factor of this: logarithms and powers have no derivatives at 0


class Factor(eqx.Module):
    """A positive factor of a law: `Glen(A) * factor`. It multiplies the flux and the surface velocity alike.

    A factor of your own is a subclass with `log`, twice differentiable in JAX. However costly (a neural network), it is
    evaluated once a step and only on ice and beside it; within the step it follows thickness and slope to first order.
    The thickness that it sees is at least 1 m.
    """

    needs = ()  # names of fields of the glacier

    @abstractmethod
    def log(self, ice: LocalIce) -> Float[Array, "*points"]:
        """Natural logarithm of the factor, point by point, of the shape of `ice.thickness`."""


class Scaled(FlowLaw):
    """A law times a factor.

    Attributes:
        law: the law.
        factor: the factor.
        fields: what the factor needs, at the points, once they are known.
    """

    law: FlowLaw
    factor: Factor
    fields: dict[str, Float[Array, "*points"]] = eqx.field(default_factory=dict)

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Both times the factor."""
        diffusivity, speed = self.law.mobility(ice)
        factor = jnp.exp(_log(self.factor, ice.thickness, ice.slope_squared, {**ice.fields, **self.fields}))
        return factor * diffusivity, factor * speed

    def at(self, fields: Mapping[str, Array]) -> Scaled:
        """The law there, and the fields of the factor."""
        return Scaled(self.law.at(fields), self.factor, needed(self.factor, fields))

    def near(self, ice: LocalIce, wanted: Bool[Array, " points"], transposed: bool = False) -> FlowLaw:
        """The factor to first order in thickness and slope squared."""
        law = self.law.near(ice, wanted, transposed)
        return expanded(law, self.factor, ice.over(self.fields), wanted, transposed)


class Expanded(FlowLaw):
    """A law times the tangent of a factor: value * (1 + by_thickness H + by_slope_squared s^2 - origin).

    Attributes:
        law: the law.
        value: of the factor at the start of the step.
        by_thickness: derivative of its logarithm, per m.
        by_slope_squared: derivative of its logarithm.
        origin: what makes the change 0 at the start of the step.
    """

    law: FlowLaw
    value: Float[Array, " points"]
    by_thickness: Float[Array, " points"]
    by_slope_squared: Float[Array, " points"]
    origin: Float[Array, " points"]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Both times the factor."""
        diffusivity, speed = self.law.mobility(ice)
        factor = self.value * (1 + jnp.clip(self.change(ice), -MOST_CHANGE, MOST_CHANGE))
        return factor * diffusivity, factor * speed

    def change(self, ice: LocalIce) -> Float[Array, " points"]:
        """Of the factor since the start of the step, as a share, before it is limited."""
        return self.by_thickness * ice.thickness + self.by_slope_squared * ice.slope_squared - self.origin

    def transpose(self, ice: LocalIce, cotangent: Array) -> tuple[Expanded, Array, Array]:
        """By hand: what its five parts share is computed once."""
        diffusivity, change = self.law.mobility(ice)[0], self.change(ice)
        limited = 1 + jnp.clip(change, -MOST_CHANGE, MOST_CHANGE)
        of_change = jnp.where(jnp.abs(change) < MOST_CHANGE, cotangent * self.value * diffusivity, 0.0)
        of_value, of_change, of_base = lax.optimization_barrier(
            (cotangent * diffusivity * limited, of_change, cotangent * self.value * limited)
        )
        of_law, of_thickness, of_slope_squared = self.law.transpose(ice, of_base)
        of_law = Expanded(of_law, of_value, of_change * ice.thickness, of_change * ice.slope_squared, -of_change)
        of_thickness += of_change * self.by_thickness
        return of_law, of_thickness, of_slope_squared + of_change * self.by_slope_squared


def _log(factor: Factor, thickness: Array, slope_squared: Array, fields: dict[str, Array]) -> Array:
    return factor.log(LocalIce(jnp.maximum(thickness, LEAST_THICKNESS), slope_squared, fields))


def expanded(law: FlowLaw, factor: Factor, ice: LocalIce, wanted: Bool[Array, " points"], transposed: bool) -> Expanded:
    """A law times a factor, for ice that differs little from this; 1 where it is not wanted.

    Args:
        law: the law.
        factor: with the fields that it needs in `ice`.
        ice: at one vector of points.
        wanted: where it is evaluated.
        transposed: for reverse mode.
    """

    def of(factor: Factor, part: LocalIce) -> tuple[Array, Array, Array]:
        thickness, slope_squared, one = part.thickness, part.slope_squared, jnp.ones_like(part.thickness)
        # one input at a time: a tangent of zeros along the other would be computed, not left out
        value, by_thickness = jax.jvp(lambda at: _log(factor, at, slope_squared, part.fields), (thickness,), (one,))
        _, by_slope_squared = jax.jvp(lambda at: _log(factor, thickness, at, part.fields), (slope_squared,), (one,))
        return value, by_thickness, by_slope_squared

    value, by_thickness, by_slope_squared = masked_blocks.where(wanted, of, factor, ice, transposed)
    origin = by_thickness * ice.thickness + by_slope_squared * ice.slope_squared
    return Expanded(law, jnp.exp(value), by_thickness, by_slope_squared, origin)
