"""What a flow law is: one method that gives diffusivity and surface velocity from the same pieces."""

from __future__ import annotations

from abc import abstractmethod
from functools import reduce
from operator import add
from typing import Any

import equinox as eqx
import jax.core
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class LocalIce(eqx.Module):
    """The ice at one set of points, faces of the grid or cell centres alike.

    Attributes:
        thickness: m, any shape.
        slope_squared: of the surface, same shape.
    """

    thickness: Float[Array, "*points"]
    slope_squared: Float[Array, "*points"]

    @property
    def slope(self) -> Float[Array, "*points"]:
        """Surface slope."""
        return jnp.sqrt(self.slope_squared)

    def slope_power(self, exponent: Any) -> Float[Array, "*points"]:
        """slope ** exponent, without a square root where the exponent is an even number."""
        return power(self.slope_squared, exponent / 2)


class FlowLaw(eqx.Module):
    """A law of ice flow. Laws add: `Glen(...) + WeertmanSliding(...)`.

    A law of your own is a subclass with the one method below, differentiable in JAX; its parameters are
    its attributes.
    """

    @abstractmethod
    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """Diffusivity and surface mobility, from the same pieces, so that they cannot disagree.

        Args:
            ice: thickness and slope at the points.

        Returns:
            D in m2 s-1 (volume flux over slope, at least 0) and surface speed over slope in m s-1,
            each of the shape of `ice.thickness`.
        """

    def __add__(self, other: FlowLaw) -> SumOfLaws:
        """Both at once: diffusivities add, and so do surface velocities."""
        return SumOfLaws((self, other))


class SumOfLaws(FlowLaw):
    """Several laws at once."""

    laws: tuple[FlowLaw, ...]

    def mobility(self, ice: LocalIce) -> tuple[Array, Array]:
        """The sums over the laws; m2 s-1 and m s-1."""
        diffusivities, speeds = zip(*(law.mobility(ice) for law in self.laws), strict=True)
        return reduce(add, diffusivities), reduce(add, speeds)


class Exponent(eqx.Module):
    """A power that is a plain number (compiled to multiplications) or an array (inferable)."""

    number: float | None = eqx.field(static=True)
    array: Float[Array, ""] | None

    def __init__(self, value: Any):
        """A Python number is fixed, anything else is traced by JAX."""
        fixed = isinstance(value, int | float)
        self.number = float(value) if fixed else None
        self.array = None if fixed else jnp.asarray(value)

    @property
    def value(self) -> Any:
        """The power."""
        return self.array if self.number is None else self.number


def power(base: Array, exponent: Any) -> Array:
    """base ** exponent for base >= 0, with a finite gradient at 0.

    Whole numbers become multiplications: a power of two arrays costs fifty times as much.
    """
    if isinstance(exponent, int | float):
        if float(exponent).is_integer():
            return lax.integer_pow(base, int(exponent))
        if exponent == 0.5:
            return jnp.sqrt(base)
    safe = jnp.where(base > 0, base, 1.0)
    return jnp.where(base > 0, jnp.exp(exponent * jnp.log(safe)), 0.0)


def as_scalar(value: Any) -> Array:
    """A parameter as a floating array."""
    return value if isinstance(value, jax.core.Tracer) else jnp.asarray(value, float)
