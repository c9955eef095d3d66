"""Powers that are fast for plain numbers as exponents and have a finite derivative at 0, and scalar parameters."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class Exponent(eqx.Module):
    """The exponent of a power law: a plain number is compiled to multiplications, an array can be inferred.

    Attributes:
        number: the plain number, or None.
        array: the array, or None.
    """

    number: float | None = eqx.field(static=True)
    array: Float[Array, ""] | None

    def __init__(self, value: Any):
        """A Python number is static, anything else is an array."""
        fixed = isinstance(value, int | float)
        self.number = float(value) if fixed else None
        self.array = None if fixed else jnp.asarray(value)

    @property
    def value(self) -> Any:
        """The exponent, as it was given."""
        return self.array if self.number is None else self.number


def power(base: Array, exponent: Any) -> Array:
    """base ** exponent for base >= 0, with a finite derivative at 0.

    An exponent that is a whole Python number becomes multiplications, which cost a fiftieth of a power of two arrays.
    """
    if isinstance(exponent, int | float):
        if float(exponent).is_integer():
            return lax.integer_pow(base, int(exponent))
        if exponent == 0.5:
            return jnp.sqrt(base)
    safe = jnp.where(base > 0, base, 1.0)
    return jnp.where(base > 0, jnp.exp(exponent * jnp.log(safe)), 0.0)


def as_scalar(value: Any) -> Array:
    """A parameter as a floating array; what JAX traces is returned as it is."""
    return value if isinstance(value, jax.core.Tracer) else jnp.asarray(value, float)
