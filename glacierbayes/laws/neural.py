"""A Bayesian neural network: weights standard normal a priori, one layer of sines, one of tanh.

Layers of tanh alone make functions that hardly bend and remember their level over the whole range, whatever the prior
of their weights. Sines in the first layer make the prior the same everywhere in the range, and give it a length
(Meronen, Trapp and Solin 2021, arXiv 2110.13572).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from glacierbayes.laws.functions import Family, checked

BIAS = 0.2  # of the second layer; more is level, which correlates over the whole range
DRAWS, PLACES = 512, 33  # of the prior, from which its standard deviation is taken


class NeuralNetwork(Family):
    """A network whose prior draws have the wanted standard deviation and correlation length.

    Weights may swap places: judge convergence on values of the function.

    Attributes:
        ranges, scale, lengths: see `Family`.
        hidden: units of each of the two hidden layers.
    """

    ranges: tuple[tuple[float, float], ...] = eqx.field(static=True)
    scale: Any
    lengths: tuple[Any, ...]
    hidden: int = eqx.field(static=True)
    spread: float = eqx.field(static=True)

    def __init__(self, ranges: Any, scale: Any, lengths: Any, hidden: int = 8):
        """The standard deviation of the bare network is found by drawing from its prior, with a fixed seed.

        Raises:
            InputError: see `functions.checked`.
        """
        self.ranges, self.lengths = checked("NeuralNetwork", ranges, lengths)
        self.scale, self.hidden, self.spread = scale, hidden, 1.0
        with jax.ensure_compile_time_eval():
            places = np.meshgrid(*(np.linspace(low, high, PLACES) for low, high in self.ranges))
            weights = jnp.asarray(np.random.default_rng(0).normal(size=(DRAWS, self.size)))
            inputs = [jnp.asarray(part.ravel()) for part in places]
            values = jax.vmap(lambda one: self._bare(one, *inputs))(weights)
            self.spread = float(jnp.sqrt(jnp.mean(values**2)))

    @property
    def size(self) -> int:
        """Of both layers and the output."""
        return self.hidden * (len(self.ranges) + 1) + self.hidden * (self.hidden + 1) + self.hidden

    def __call__(self, weights: Float[Array, " weights"], *inputs: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """The network's output."""
        return self.scale / self.spread * self._bare(weights, *inputs)

    def _bare(self, weights: Array, *inputs: Array) -> Array:
        """Before it is scaled."""
        m, k = self.hidden, len(self.ranges)
        first, second, last = jnp.split(weights, [m * (k + 1), m * (k + 1) + m * (m + 1)])
        first, second = first.reshape(k + 1, m), second.reshape(m + 1, m)
        scaled = [
            jnp.clip(x, low, high)[..., None] / length
            for x, (low, high), length in zip(inputs, self.ranges, self.lengths, strict=True)
        ]
        phase = jnp.pi * first[k]
        waves = jnp.sin(sum(x * w for x, w in zip(scaled, first[:k], strict=True)) + phase)
        hidden = jnp.tanh(waves @ second[:m] * jnp.sqrt(2.0 / m) + BIAS * second[m])
        return hidden @ last
