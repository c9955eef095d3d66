"""A Bayesian neural network: a layer of fixed waves, one of tanh, and the waves past it; weights standard normal.

Layers of tanh alone make functions that hardly bend and remember their level over the whole range, whatever the prior
of their weights. Waves in the first layer make the prior the same everywhere in the range, and give it a length
(Meronen, Trapp and Solin 2021, arXiv 2110.13572). Their frequencies are fixed: sampled, they make a posterior of many
modes (`temperature_law_twin.py`: 46 effective draws in 84 000 gradients, against 1900 in 72 000). The waves that go
past the hidden layer are for where there are no data: a few units alone take the size of the function from where there
are some, and the band over a gap is half the prior's.
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

from glacierbayes.functions.base import Family, checked, ends, sine_and_cosine

DEGREES = 5  # of the Student-t that frequencies are from: the spectral density of Matern 5/2
BIAS = 0.2  # of the hidden layer; more is level, which correlates over the whole range
PAST = 0.5  # share of the variance that goes past the hidden layer
DRAWS, PLACES = 512, 33  # of the prior, from which the standard deviation of the hidden layer's part is taken


class NeuralNetwork(Family):
    """A network whose prior draws have the wanted standard deviation and correlation length.

    Weights may swap places: judge convergence on values of the function.

    Attributes:
        ranges, scale, lengths: see `Family`.
        waves: frequencies of the first layer, a sine and a cosine each.
        hidden: units of the second layer.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    waves: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)
    spread: float = eqx.field(static=True)

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
        """The standard deviation of what the hidden layer gives is found by drawing from its prior, with a fixed seed.

        Raises:
            InputError: see `functions.ends`.
        """
        typical = tuple(
            math.sqrt(a * b) for a, b in zip(*ends("NeuralNetwork", ranges, lengths, shortest, longest), strict=True)
        )
        self.ranges, self.lengths = checked("NeuralNetwork", ranges, lengths)
        self.scale, self.waves, self.hidden, self.spread = scale, waves, hidden, 1.0
        with jax.ensure_compile_time_eval():
            places = np.meshgrid(*(np.linspace(low, high, PLACES) for low, high in self.ranges))
            weights = jnp.asarray(np.random.default_rng(0).normal(size=(DRAWS, self.size)))
            inputs = [jnp.asarray(part.ravel()) for part in places]
            values = jax.vmap(lambda one: self._parts(one, typical, *inputs)[0])(weights)
            self.spread = float(jnp.sqrt(jnp.mean(values**2)))

    @property
    def size(self) -> int:
        """Of the hidden layer with its biases, of its output, and of the waves past it."""
        return self.hidden * (2 * self.waves + 2) + 2 * self.waves

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The network's output."""
        hidden, past = self._parts(weights, self.lengths, *inputs)
        return self.scale * (np.sqrt(1 - PAST) / self.spread * hidden + np.sqrt(PAST) * past)

    def _parts(self, weights: Array, lengths: tuple[Any, ...], *inputs: Array) -> tuple[Array, Array]:
        """What the hidden layer gives, and what goes past it, of variance 1."""
        width, m = 2 * self.waves, self.hidden
        inner, bias, outer, past = jnp.split(weights, np.cumsum([width * m, m, m]))
        each = zip(inputs, self.ranges, lengths, strict=True)
        scaled = [jnp.clip(x, low, high) / length for x, (low, high), length in each]
        dims = (1,) * scaled[0].ndim
        phase = jnp.tensordot(_frequencies(len(inputs), self.waves).T, jnp.stack(scaled), 1)
        waves = jnp.concatenate(sine_and_cosine(phase)) / np.sqrt(self.waves)
        # one product for both; points last, so that what the compiler makes of it runs along them
        *units, rest = jnp.tensordot(jnp.vstack([inner.reshape(width, m).T, past]), waves, 1)
        hidden = jnp.tanh(jnp.stack(units) + BIAS * bias.reshape(-1, *dims))
        return jnp.tensordot(outer, hidden, 1), rest


def _frequencies(inputs: int, count: int) -> np.ndarray:
    """Evenly spread over their distribution, (input, frequency); of w and -w one is enough."""
    sampler = stats.qmc.LatinHypercube(inputs, scramble=False, optimization="random-cd", rng=np.random.default_rng(0))
    places = sampler.random(count)
    places[:, 0] = 0.5 + 0.5 * places[:, 0]
    return stats.t.ppf(places, DEGREES).T
