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

# of sin(x) / x and of cos x in x^2, highest power first: Taylor's to x^21 and x^22, below 1e-15 at a quarter of a turn
SINE = np.array([(-1) ** k / math.factorial(2 * k + 1) for k in range(10, -1, -1)])
COSINE = np.array([(-1) ** k / math.factorial(2 * k) for k in range(11, -1, -1)])


class Family(eqx.Module):
    """A prior of functions: `Spline`, `GaussianProcess` or `NeuralNetwork(ranges, scale, lengths)`.

    Lengths that are inferred are arrays; then all take `shortest` and `longest`, plain numbers between which they lie
    (beyond is no error, but less exact).

    Attributes:
        ranges: (low, high) of every input, one or two; beyond it a function stays as at its end.
        scale: prior standard deviation of the function.
        lengths: correlation length along every input, in its unit.
    """

    ranges: eqx.AbstractVar[tuple[tuple[float, float], ...]]
    scale: eqx.AbstractVar[Any]
    lengths: eqx.AbstractVar[tuple[Any, ...]]

    @property
    @abstractmethod
    def size(self) -> int:
        """How many weights a function has."""

    @abstractmethod
    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The function at points, one array an input."""


class Function(eqx.Module):
    """A member of a family: weights that are known, or that a model samples. Called with its inputs.

    Attributes:
        family: of the function.
        weights: as the family takes them.
        level: taken off everywhere.
    """

    family: Family
    weights: Float[Array, " weights"]
    level: Float[ArrayLike, ""] = 0.0

    def __call__(self, *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """Its value, point by point."""
        return self.family(self.weights, *inputs) - self.level

    def zero_at(self, *place: ArrayLike) -> Function:
        """The function less its value at one place, which is another parameter's to say."""
        level = self.family(self.weights, *(jnp.asarray(x, float) for x in place))
        return Function(self.family, self.weights, level)


@jax.custom_jvp
def sine_and_cosine(angle: Float[Array, "*points"]) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """sin and cos to 1e-13 of angles up to some hundred, by polynomials: twice as fast as XLA's on a CPU, and more.

    Sines cost more than all else in a run of a law that is a function.
    """
    half_turns = jnp.round(angle / np.pi)
    rest = angle - half_turns * np.pi
    sign = 1 - 2 * (half_turns - 2 * jnp.floor(0.5 * half_turns))
    square = rest**2
    # the barrier keeps the compiler from evaluating them again wherever they are used
    return lax.optimization_barrier((sign * rest * jnp.polyval(SINE, square), sign * jnp.polyval(COSINE, square)))


@sine_and_cosine.defjvp
def _(at: tuple[Array], along: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Each is the other's derivative. (Reverse mode through the polynomials would keep their every power.)"""
    sine, cosine = sine_and_cosine(*at)
    return (sine, cosine), (cosine * along[0], -sine * along[0])


def ends(kind: str, ranges: Any, lengths: Any, shortest: Any, longest: Any) -> tuple[tuple[float, ...], ...]:
    """The shortest and the longest lengths, numbers; by default the lengths.

    Raises:
        InputError: see `checked`; lengths that are inferred without both ends.
    """
    found = []
    for end in (shortest, longest):
        _, values = checked(kind, ranges, lengths if end is None else end)
        if any(isinstance(value, jax.core.Tracer) for value in values):
            raise InputError(f"{kind}: lengths are inferred: give shortest and longest, one number each an input")
        found.append(tuple(float(value) for value in values))
    return tuple(found)


def checked(kind: str, ranges: Any, lengths: Any) -> tuple[tuple[tuple[float, float], ...], tuple[Any, ...]]:
    """Ranges and lengths of one or two inputs as tuples; those of one may be given bare.

    Raises:
        InputError: another number of inputs, a range that does not rise, or not one length for each.
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
