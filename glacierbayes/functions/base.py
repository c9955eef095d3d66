"""Unknown functions: families that turn standard normal weights into smooth functions of one or two inputs.

A family is the prior of a function: with weights drawn from N(0, 1), `family(weights, x)` is a draw of mean 0 and
standard deviation `scale`. Families are interchangeable wherever a function is unknown; the weights are what a model
samples. Where data end the prior takes over, within the range that is given.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from glacierbayes.errors import InputError

# coefficients of the Taylor series of sin(x) / x and of cos x in x^2, highest power first, to x^21 and x^22: the error
# is below 1e-15 at a quarter of a turn
SINE_COEFFICIENTS = np.array([(-1) ** k / math.factorial(2 * k + 1) for k in range(10, -1, -1)])
COSINE_COEFFICIENTS = np.array([(-1) ** k / math.factorial(2 * k) for k in range(11, -1, -1)])


class FunctionFamily(eqx.Module):
    """A prior of functions: `Spline`, `GaussianProcess` or `NeuralNetwork(ranges, scale, lengths)`.

    Lengths that are inferred are arrays. The constructor then needs `shortest` and `longest`, plain numbers between
    which they lie; lengths beyond them are no error, but are represented less exactly.

    Attributes:
        ranges: (low, high) of every input, of which there are one or two; beyond its range a function is constant.
        scale: prior standard deviation of the function.
        lengths: correlation length along every input, in the unit of the input.
    """

    ranges: eqx.AbstractVar[tuple[tuple[float, float], ...]]
    scale: eqx.AbstractVar[Any]
    lengths: eqx.AbstractVar[tuple[Any, ...]]

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of weights of a function."""

    @abstractmethod
    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The value of the function with these weights, point by point; one array for each input."""


class UnknownFunction(eqx.Module):
    """A function of a family, with weights that are known or that a model samples. It is called with its inputs.

    Attributes:
        family: the family of the function.
        weights: the weights, as the family takes them.
        level: a constant that is subtracted from the value everywhere.
    """

    family: FunctionFamily
    weights: Float[Array, " weights"]
    level: Float[ArrayLike, ""] = 0.0

    def __call__(self, *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The value of the function, point by point; one array for each input."""
        return self.family(self.weights, *inputs) - self.level

    def zero_at(self, *inputs: ArrayLike) -> UnknownFunction:
        """The function minus its value at one point, where another parameter gives the level."""
        level = self.family(self.weights, *(jnp.asarray(x, float) for x in inputs))
        return UnknownFunction(self.family, self.weights, level)


@jax.custom_jvp
def sine_and_cosine(angle: Float[Array, "*points"]) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """Sine and cosine with an error below 1e-13 for angles up to some hundred, by polynomials.

    On a CPU this takes less than half the time of the functions of XLA. In a run with a law that is an unknown function
    the sines cost most of the time.
    """
    half_turns = jnp.round(angle / np.pi)
    rest = angle - half_turns * np.pi
    sign = 1 - 2 * (half_turns - 2 * jnp.floor(0.5 * half_turns))
    square = rest**2
    # the barrier keeps the compiler from evaluating them again wherever they are used
    return lax.optimization_barrier(
        (sign * rest * jnp.polyval(SINE_COEFFICIENTS, square), sign * jnp.polyval(COSINE_COEFFICIENTS, square))
    )


@sine_and_cosine.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The known derivatives. (Reverse mode through the polynomials would store all of their powers.)"""
    sine, cosine = sine_and_cosine(*primals)
    return (sine, cosine), (cosine * tangents[0], -sine * tangents[0])


def length_bounds(kind: str, ranges: Any, lengths: Any, shortest: Any, longest: Any) -> tuple[tuple[float, ...], ...]:
    """The shortest and the longest length along every input, as numbers; by default the lengths themselves.

    Args:
        kind: name of the family, for messages.
        ranges, lengths: see `FunctionFamily`.
        shortest, longest: one number for each input, or None for the lengths.

    Raises:
        InputError: see `validated`; lengths are inferred, and `shortest` or `longest` is missing.
    """
    pairs = []
    for end in (shortest, longest):
        _, values = validated(kind, ranges, lengths if end is None else end)
        if any(isinstance(value, jax.core.Tracer) for value in values):
            raise InputError(f"{kind}: lengths are inferred: give shortest and longest, one number each an input")
        pairs.append(tuple(float(value) for value in values))
    return tuple(pairs)


def validated(kind: str, ranges: Any, lengths: Any) -> tuple[tuple[tuple[float, float], ...], tuple[Any, ...]]:
    """Ranges and lengths as tuples with one entry for each input; those of a single input may be given without a tuple.

    Raises:
        InputError: the number of inputs is not 1 or 2, a range does not ascend, or there is not one length for each.
    """
    ranges = tuple(ranges) if isinstance(ranges[0], tuple | list) else (ranges,)
    lengths = tuple(lengths) if isinstance(lengths, tuple | list) else (lengths,)
    if len(ranges) not in (1, 2) or len(lengths) != len(ranges):
        raise InputError(
            f"{kind}: {len(ranges)} ranges and {len(lengths)} lengths, expected one of each an input, 1 or 2"
        )
    for low, high in ranges:
        if not low < high:
            raise InputError(f"{kind}: range {low:g} to {high:g}, expected the lower end first")
    return tuple((float(low), float(high)) for low, high in ranges), lengths
