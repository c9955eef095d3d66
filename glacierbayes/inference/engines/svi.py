"""Stochastic variational inference: the Gaussian nearest to the posterior, in unconstrained coordinates.

The evidence lower bound is climbed from the Gaussian about which chains of NUTS would start (`mode`), in coordinates
in which that is the standard normal, with the estimator of the gradient that vanishes where the Gaussian is the
posterior (Roeder, Wu and Duvenaud 2017, arXiv 1703.09194). What a Gaussian cannot hold is not there: every draw carries
the logarithm of its importance weight, from which `check` tells how far the two are apart (Yao et al. 2018, arXiv
1802.02538).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float
from numpyro.optim import Adam

from glacierbayes.inference.chunks import chunk_path, finished_chunks, read_arrays, write_arrays
from glacierbayes.inference.prior import draw_prior
from glacierbayes.inference.problem import Problem

CHUNK = 25  # steps or draws between two files or messages
PAIRS = 2  # of opposite draws a step
# Of Adam at the start, in deviations of the first Gaussian; it falls to a thirtieth. Adam moves every number of the
# root alike, whatever its gradient: in more dimensions than this the rate falls with their number, or that noise throws
# a good start away. (In 131 of them, `diffusivity_correction`, the bound fell from -375 to -512, and ended at -424.)
RATE, FEW = 0.03, 10


class Gaussian(NamedTuple):
    """Mean, lower root of the covariance below its diagonal, logarithm of that diagonal."""

    mean: Float[Array, " n"]
    below: Float[Array, "n n"]
    diagonal: Float[Array, " n"]

    @property
    def root(self) -> Float[Array, "n n"]:
        """Of the covariance."""
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
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))  # a failed solve says nothing
        return jnp.where(good, value, jnp.nan), jnp.where(good, slope - solve_triangular(root.T, one, lower=False), 0.0)

    values, slopes = lax.map(at, noise)
    of_root = jnp.einsum("ki,kj->ij", slopes, noise) / len(noise)
    gradient = Gaussian(slopes.mean(0), jnp.tril(of_root, -1), jnp.diagonal(of_root) * jnp.exp(gaussian.diagonal))
    entropy = jnp.sum(gaussian.diagonal) + 0.5 * gaussian.mean.size * (1 + jnp.log(2 * jnp.pi))
    return gradient, entropy - jnp.nanmean(values)


def fit(potential: Callable, dimension: int, steps: int, key: Array, say: Callable) -> Gaussian:
    """The Gaussian nearest to a density that is about standard normal.

    Args:
        potential: minus its logarithm.
        dimension: of its vector.
        steps: of Adam.
        key: of the draws.
        say: is given (steps so far, mean bound of the last ones).
    """
    rate = RATE * min(1.0, FEW / dimension)
    optimiser = Adam(lambda i: rate * 30.0 ** (-i / steps))

    def step(state: Any, key: Array) -> tuple[Any, Array]:
        gradient, bound = gradient_of_bound(potential, optimiser.get_params(state), key)
        return optimiser.update(gradient, state), bound

    part = jax.jit(lambda state, keys: lax.scan(step, state, keys))
    state = optimiser.init(Gaussian(jnp.zeros(dimension), jnp.zeros((dimension, dimension)), jnp.zeros(dimension)))
    keys = jax.random.split(key, steps)
    for first in range(0, steps, CHUNK):
        state, bounds = part(state, keys[first : first + CHUNK])
        say(min(first + CHUNK, steps), float(jnp.nanmean(bounds)))
    return optimiser.get_params(state)


def run_svi(problem: Problem, folder: Path, settings: dict[str, Any], say: Callable) -> None:
    """Fits the Gaussian, draws from it in chunks, then from the prior.

    Args:
        problem: the model and its data.
        folder: OUTPUT.parts, with `start.npz` in it.
        settings: "warmup" (steps of the fit), "draws", "seed".
        say: is given a dict with a "text" after every chunk.
    """
    steps, draws = settings["warmup"], settings["draws"]
    fitting, drawing, before = jax.random.split(jax.random.key(settings["seed"]), 3)
    start = read_arrays(folder / "start.npz")
    middle, scale = jnp.asarray(start["mean"]), jnp.linalg.cholesky(jnp.asarray(start["covariance"]))

    def potential(white: Array) -> Array:
        return problem.potential(middle + scale @ white)

    began, done = time.monotonic(), finished_chunks(folder, 0)
    if not done:
        found = fit(potential, problem.dimension, steps, fitting, lambda i, bound: say(_progress(i, steps, bound)))
        arrays = {"mean": np.asarray(found.mean), "root": np.asarray(found.root), "warmup": np.asarray(True)}
        write_arrays(chunk_path(folder, 0, 0), arrays | {"chunk_seconds": np.asarray(time.monotonic() - began)})
        done = 1
    kept = read_arrays(chunk_path(folder, 0, 0))
    mean, root = jnp.asarray(kept["mean"]), jnp.asarray(kept["root"])
    evaluate, height = jax.jit(problem.evaluate), jax.jit(potential)
    for chunk in range(done, 1 + -(-draws // CHUNK)):
        began = time.monotonic()
        rows: list[dict[str, Any]] = []
        for i in range((chunk - 1) * CHUNK, min(chunk * CHUNK, draws)):
            noise, key = jax.random.split(jax.random.fold_in(drawing, i))
            away = jax.random.normal(noise, mean.shape)
            white = mean + root @ away
            lp = -height(white)
            density = -0.5 * away @ away - jnp.sum(jnp.log(jnp.diagonal(root)))
            said = evaluate(middle + scale @ white, key)
            row = {"lp": lp, "log_weight": lp - density, "solver_failed": not bool(jnp.isfinite(lp))}
            rows.append(row | {f"{group}/{name}": v for group, values in said.items() for name, v in values.items()})
        arrays = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
        arrays |= {"warmup": np.asarray(False), "chunk_seconds": np.asarray(time.monotonic() - began)}
        write_arrays(chunk_path(folder, 0, chunk), arrays)
        say({"text": f"draws {min(chunk * CHUNK, draws)}/{draws}"})
    draw_prior(problem, folder / "prior0.npz", before, evaluate)


def _progress(step: int, steps: int, bound: float) -> dict[str, str]:
    return {"text": f"fit {step}/{steps}, evidence lower bound {bound:.2f} up to a constant"}
