"""Variational inference: the Gaussian closest to a posterior, in unconstrained coordinates.

The evidence lower bound is climbed from the Gaussian about which chains of NUTS would start (`start.mode`), in
coordinates in which that is the standard normal, with the estimator of the gradient that vanishes where the Gaussian is
the posterior (Roeder, Wu and Duvenaud 2017, arXiv 1703.09194). A Gaussian cannot hold everything: every draw carries
the logarithm of its importance weight, from which `check` tells how far the two are apart (Yao et al. 2018, arXiv
1802.02538).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from glacierbayes.inference.engines.base import Draw, Engine
from glacierbayes.inference.problem import Problem

PAIRS = 2  # of opposite draws a step
# Of Adam at the start, in deviations of the first Gaussian; it falls to a thirtieth. Adam moves every number of the
# root alike, whatever its gradient: in more dimensions than this the rate falls with their number, or that noise throws
# a good start away. (In 131 of them, `diffusivity_correction`, the bound fell from -375 to -512, and ended at -424.)
LEARNING_RATE, FEW_DIMENSIONS = 0.03, 10
RATE_FALLS_BY = 30.0


class Gaussian(NamedTuple):
    """Mean, lower root of the covariance below its diagonal, logarithm of that diagonal."""

    mean: Float[Array, " n"]
    below: Float[Array, "n n"]
    diagonal: Float[Array, " n"]

    @property
    def root(self) -> Float[Array, "n n"]:
        """Lower triangular root of the covariance."""
        return jnp.tril(self.below, -1) + jnp.diag(jnp.exp(self.diagonal))


def gradient_of_bound(potential: Callable, gaussian: Gaussian, key: Array) -> tuple[Gaussian, Array]:
    """The gradient of minus the evidence lower bound, and an estimate of the bound.

    Args:
        potential: minus the log density of a vector.
        gaussian: of now.
        key: of the draws.
    """
    noise = jax.random.normal(key, (PAIRS, gaussian.mean.size))
    noise, root = jnp.concatenate([noise, -noise]), gaussian.root

    def at(one: Array) -> tuple[Array, Array]:
        value, slope = jax.value_and_grad(potential)(gaussian.mean + root @ one)
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))  # a failed solve is left out
        return jnp.where(good, value, jnp.nan), jnp.where(good, slope - solve_triangular(root.T, one, lower=False), 0.0)

    values, slopes = lax.map(at, noise)
    of_root = jnp.einsum("ki,kj->ij", slopes, noise) / len(noise)
    gradient = Gaussian(slopes.mean(0), jnp.tril(of_root, -1), jnp.diagonal(of_root) * jnp.exp(gaussian.diagonal))
    entropy = jnp.sum(gaussian.diagonal) + 0.5 * gaussian.mean.size * (1 + jnp.log(2 * jnp.pi))
    return gradient, entropy - jnp.nanmean(values)


class SviState(NamedTuple):
    """The fit, or a draw from it.

    Attributes:
        key: raw random key of the run.
        position: number of steps of the fit and draws so far.
        gaussian: the approximation, in coordinates in which the first guess is the standard normal.
        optimiser: the state of Adam.
        bound: estimate of the evidence lower bound of the last step of the fit.
        draw: the last draw, in the same coordinates.
        lp, log_weight: its log density, and that less the approximation's.
    """

    key: Array
    position: Int[Array, ""]
    gaussian: Gaussian
    optimiser: Any
    bound: Float[Array, ""]
    draw: Float[Array, " n"]
    lp: Float[Array, ""]
    log_weight: Float[Array, ""]


def learning_rate(dimension: int, steps: int) -> Callable:
    """The rate of Adam by step, in deviations of the first Gaussian."""
    first = LEARNING_RATE * min(1.0, FEW_DIMENSIONS / dimension)
    return lambda step: first * RATE_FALLS_BY ** (-step / steps)


def begin_fit(dimension: int, steps: int) -> tuple[Gaussian, optax.GradientTransformation, Any]:
    """The standard normal, Adam for a number of steps, and Adam's first state."""
    gaussian = Gaussian(jnp.zeros(dimension), jnp.zeros((dimension, dimension)), jnp.zeros(dimension))
    adam = optax.adam(learning_rate(dimension, steps))
    return gaussian, adam, adam.init(gaussian)


def fit_step(
    potential: Callable, adam: optax.GradientTransformation, gaussian: Gaussian, optimiser: Any, key: Array
) -> tuple[Gaussian, Any, Array]:
    """One step of the fit: the Gaussian, the state of Adam and the bound before the step."""
    gradient, bound = gradient_of_bound(potential, gaussian, key)
    change, optimiser = adam.update(gradient, optimiser)
    return optax.apply_updates(gaussian, change), optimiser, bound  # pyright: ignore[reportReturnType]


class Svi(Engine):
    """The Gaussian closest to a posterior; the warm-up is the fit, and draws are independent."""

    name = "svi"
    state_format = 2
    markov_chain = False

    def __init__(self, problem: Problem, start: Mapping[str, np.ndarray], warmup: int):
        """See `Engine`."""
        super().__init__(problem, start, warmup)
        self._mean = jnp.asarray(start["mean"])
        self._root = jnp.linalg.cholesky(jnp.asarray(start["covariance"]))
        self._first, self._adam, self._optimiser = begin_fit(problem.dimension, warmup)
        self._fit, self._draw = jax.jit(self._fitted), jax.jit(self._drawn)

    def init(self, key: Array, chain: int) -> SviState:
        """See `Engine`."""
        none = jnp.zeros(())
        nowhere = jnp.zeros(self.problem.dimension)
        return SviState(key, jnp.zeros((), int), self._first, self._optimiser, none, nowhere, none, none)

    def warm_up(self, state: SviState) -> SviState:
        """See `Engine`."""
        return self._fit(state)

    def step(self, state: SviState) -> SviState:
        """See `Engine`."""
        return self._draw(state)

    def record(self, state: SviState) -> Draw:
        """See `Engine`."""
        return Draw(self._vector(state.draw), {"lp": state.lp})

    def statistics(self, state: SviState) -> dict[str, Any]:
        """See `Engine`."""
        if state.position <= self.warmup:
            return {"bound": state.bound}
        return {"log_weight": state.log_weight, "solver_failed": ~jnp.isfinite(state.lp)}

    def progress(self, statistics: Mapping[str, np.ndarray]) -> str:
        """See `Engine`."""
        if "bound" not in statistics:
            return ""
        return f"evidence lower bound {np.nanmean(statistics['bound']):.2f} up to a constant"

    def _vector(self, white: Array) -> Array:
        return self._mean + self._root @ white

    def _potential(self, white: Array) -> Array:
        return self.problem.potential(self._vector(white))

    def _fitted(self, state: SviState) -> SviState:
        key = jax.random.fold_in(state.key, state.position)
        found = fit_step(self._potential, self._adam, state.gaussian, state.optimiser, key)
        gaussian, optimiser, bound = found
        return state._replace(position=state.position + 1, gaussian=gaussian, optimiser=optimiser, bound=bound)

    def _drawn(self, state: SviState) -> SviState:
        noise = jax.random.normal(jax.random.fold_in(state.key, state.position), state.draw.shape)
        draw = state.gaussian.mean + state.gaussian.root @ noise
        lp = -self._potential(draw)
        density = -0.5 * noise @ noise - jnp.sum(state.gaussian.diagonal)
        return state._replace(position=state.position + 1, draw=draw, lp=lp, log_weight=lp - density)


def fit(potential: Callable, dimension: int, steps: int, key: Array) -> tuple[Gaussian, Float[Array, " steps"]]:
    """The Gaussian closest to a density that is about standard normal, and the bound of every step.

    Args:
        potential: minus the logarithm of the density of a vector.
        dimension: of the vector.
        steps: of Adam.
        key: of the draws.
    """
    gaussian, adam, optimiser = begin_fit(dimension, steps)

    def step(carry: Any, key: Array) -> tuple[Any, Array]:
        gaussian, optimiser, bound = fit_step(potential, adam, carry[0], carry[1], key)
        return (gaussian, optimiser), bound

    (gaussian, _), bounds = lax.scan(step, (gaussian, optimiser), jax.random.split(key, steps))
    return gaussian, bounds
