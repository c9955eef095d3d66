"""A Bayesian neural network with a layer of fixed sines and cosines, a tanh layer, and standard normal weights.

Functions of tanh layers alone hardly bend and are correlated over the whole range, whatever the prior of their weights.
Sines and cosines in the first layer make the prior stationary within the range, and give it a correlation length
(Meronen, Trapp and Solin 2021, arXiv 2110.13572). Their frequencies are fixed, because sampled frequencies make the
posterior multimodal (`temperature_law_twin.py`: 46 effective draws in 84 000 gradients, against 1900 in 72 000). A
linear combination of the sines and cosines is added to the output of the hidden layer (skip connection), for ranges
without data: a few hidden units take the size of the function from where there are data, and the band over a gap would
be half as wide as in the prior.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import stats

from glacierbayes.functions.base import FunctionFamily, length_bounds, sine_and_cosine, validated

SPECTRAL_DEGREES = 5  # of freedom of the Student-t distribution of the frequencies, which is the spectrum of Matern 5/2
BIAS_DEVIATION = 0.2  # of the hidden layer; a larger one adds a constant, correlated over the whole range
SKIP_VARIANCE = 0.5  # share of the variance in the skip connection
PRIOR_DRAWS, PRIOR_POINTS = 512, 33  # from which the standard deviation of the hidden layer's output is found


class NeuralNetwork(FunctionFamily):
    """A network whose prior draws have the given standard deviation and correlation length.

    Hidden units can be exchanged without a change of the function: judge convergence by values of the function.

    Attributes:
        ranges, scale, lengths: see `FunctionFamily`.
        waves: number of frequencies of the first layer, with a sine and a cosine each.
        hidden: number of units of the hidden layer.
        hidden_deviation: prior standard deviation of the output of the hidden layer.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    waves: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)
    hidden_deviation: float = eqx.field(static=True)

    def __init__(
        self,
        ranges: Any,
        scale: Any,
        lengths: Any,
        shortest: Any = None,
        longest: Any = None,
        waves: int = 8,
        hidden: int = 4,
    ):
        """The standard deviation of the hidden layer's output is found from prior draws with a fixed seed.

        Raises:
            InputError: see `functions.base.length_bounds`.
        """
        typical = tuple(
            math.sqrt(a * b)
            for a, b in zip(*length_bounds("NeuralNetwork", ranges, lengths, shortest, longest), strict=True)
        )
        self.ranges, self.lengths = validated("NeuralNetwork", ranges, lengths)
        self.scale, self.waves, self.hidden, self.hidden_deviation = scale, waves, hidden, 1.0
        with jax.ensure_compile_time_eval():
            places = np.meshgrid(*(np.linspace(low, high, PRIOR_POINTS) for low, high in self.ranges))
            weights = jnp.asarray(np.random.default_rng(0).normal(size=(PRIOR_DRAWS, self.size)))
            inputs = [jnp.asarray(part.ravel()) for part in places]
            values = jax.vmap(lambda one: self._parts(one, typical, *inputs)[0])(weights)
            self.hidden_deviation = float(jnp.sqrt(jnp.mean(values**2)))

    @property
    def size(self) -> int:
        """The number of weights: those of the hidden layer, its biases, its output, and the skip connection."""
        return self.hidden * (2 * self.waves + 2) + 2 * self.waves

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The output of the network with these weights, point by point."""
        hidden, skip = self._parts(weights, self.lengths, *inputs)
        return self.scale * (
            np.sqrt(1 - SKIP_VARIANCE) / self.hidden_deviation * hidden + np.sqrt(SKIP_VARIANCE) * skip
        )

    def _parts(self, weights: Array, lengths: tuple[Any, ...], *inputs: Array) -> tuple[Array, Array]:
        """The output of the hidden layer, and that of the skip connection, which has the variance 1."""
        width, m = 2 * self.waves, self.hidden
        inner, bias, outer, skip = jnp.split(weights, np.cumsum([width * m, m, m]))
        dimensions = zip(inputs, self.ranges, lengths, strict=True)
        scaled = [jnp.clip(x, low, high) / length for x, (low, high), length in dimensions]
        dims = (1,) * scaled[0].ndim
        phase = jnp.tensordot(_frequencies(len(inputs), self.waves).T, jnp.stack(scaled), 1)
        waves = jnp.concatenate(sine_and_cosine(phase)) / np.sqrt(self.waves)
        # one product for both; points last, so that what the compiler makes of it runs along them
        *units, skip_output = jnp.tensordot(jnp.vstack([inner.reshape(width, m).T, skip]), waves, 1)
        hidden = jnp.tanh(jnp.stack(units) + BIAS_DEVIATION * bias.reshape(-1, *dims))
        return jnp.tensordot(outer, hidden, 1), skip_output


def _frequencies(inputs: int, count: int) -> np.ndarray:
    """Frequencies, (input, frequency), that represent their distribution evenly; w and -w give the same function."""
    sampler = stats.qmc.LatinHypercube(inputs, scramble=False, optimization="random-cd", rng=np.random.default_rng(0))
    places = sampler.random(count)
    places[:, 0] = 0.5 + 0.5 * places[:, 0]
    return stats.t.ppf(places, SPECTRAL_DEGREES).T
