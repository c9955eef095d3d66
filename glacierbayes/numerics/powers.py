"""Powers and scalars as laws and balances need them: fast where the exponent is a plain number, finite at 0."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


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
