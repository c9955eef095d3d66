"""NUTS in this process, for studies that fit many data sets of the same shape: what is compiled serves them all.

The sampler is that of `infer`; only the driver differs, which there writes every draw to disk.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array
from scipy.optimize import minimize

from glacierbayes.inference.engines.nuts import Nuts
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.processes.pool import cores
from glacierbayes.inference.start.mode import FAILED_POTENTIAL, laplace_covariance

PRIOR, STARTS = 200, 5  # draws that give centre and scale; of the searches for modes
DEEP = 50.0  # modes this much lower are left
AGAIN = 0.1  # a search that ends this much lower than it began goes on: a kink may have stopped it
Build = Callable[[Any], Problem]  # of the data; what is compiled is kept by it


class Drawn(NamedTuple):
    """Unconstrained draws (chain, draw, parameter) with their worst R-hat and effective number."""

    z: np.ndarray
    r_hat: float
    ess: float
    divergences: int
    gradients: int


@partial(jax.jit, static_argnums=0)
def _value_and_grad(build: Build, z: Array, case: Any) -> tuple[Array, Array]:
    return jax.value_and_grad(build(case).potential)(z)


@partial(jax.jit, static_argnums=0)
def _prior(build: Build, case: Any) -> Array:
    return lax.map(build(case).prior_vector, jax.random.split(jax.random.key(0), PRIOR))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _chain(build: Build, warmup: int, draws: int, key: Array, start: dict[str, Array], case: Any) -> Any:
    """Warm-up and draws of one chain: (transition, ...) vectors, divergences and numbers of gradients.

    An engine whose model has nuisance parameters beside a run decides in Python when to update them, and cannot be
    traced: models here have none.
    """
    engine = Nuts(build(case), start, warmup)

    def transition(advance: Callable) -> Callable:
        def step(state: Any, _: None) -> Any:
            state = advance(state)
            return state, (engine.record(state).vector, state.diverging, state.n_steps)

        return step

    state, adapted = lax.scan(transition(engine.warm_up), engine.init(key, 0), None, warmup)
    _, drawn = lax.scan(transition(engine.step), state, None, draws)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), adapted, drawn)


@partial(jax.jit, static_argnums=0)
def potentials(build: Build, z: Array, case: Any) -> Array:
    """Of many vectors."""
    # one after the other: on two hundred cells as fast as side by side
    return lax.map(build(case).potential, z)


class Start(NamedTuple):
    """Centre and scale by prior draws; in coordinates that both scale, modes, the highest first, and covariances."""

    centre: np.ndarray
    scale: np.ndarray
    modes: np.ndarray
    covariances: np.ndarray
    target: Callable  # the potential and its gradient in those coordinates


def start(build: Build, case: Any, along: str | None = None) -> Start:
    """Modes, by BFGS.

    Args:
        build: the model with its data; a function of a module, the same for all data sets.
        case: the data.
        along: a parameter; searches start from the best prior draw of each part of its range. Without it there is one
            search, from the prior's centre.
    """
    prior = np.asarray(_prior(build, case))
    centre, scale = np.median(prior, 0), prior.std(0)

    def target(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _value_and_grad(build, jnp.asarray(centre + scale * w), case)
        good = bool(jnp.isfinite(value)) and bool(jnp.all(jnp.isfinite(gradient)))
        return (float(value), np.asarray(gradient) * scale) if good else (FAILED_POTENTIAL, np.zeros_like(w))

    def descend(w: np.ndarray, height: float = np.inf) -> Any:
        found = minimize(target, w, jac=True, method="BFGS", options={"gtol": 0.05, "maxiter": 60})
        return descend(found.x, found.fun) if found.fun < height - AGAIN else found

    first = [np.zeros_like(centre)]
    if along is not None:
        heights = np.asarray(potentials(build, jnp.asarray(prior), case))
        heights = np.where(np.isfinite(heights), heights, np.inf)
        parts = np.array_split(np.argsort(prior[:, build(case).names.index(along)]), STARTS)
        first = [(prior[part[np.argmin(heights[part])]] - centre) / scale for part in parts]
    found = sorted(map(descend, first), key=lambda one: one.fun)
    modes = [one.x for one in found if one.fun < found[0].fun + DEEP]
    covariances = [laplace_covariance(lambda w: target(w)[1], mode) for mode in modes]
    return Start(centre, scale, np.array(modes), np.array(covariances), target)


def nuts(build: Build, case: Any, seed: int, warmup: int, draws: int) -> Drawn:
    """Two chains from near a mode; `warmup` and `draws` are transitions of each, the rest as `start` has it."""
    centre, scale, (best, *_), (covariance, *_), target = start(build, case)
    root = np.linalg.cholesky(covariance)
    found = []
    for key in jax.random.split(jax.random.key(seed), 2):
        away, move = jax.random.split(key)
        at = best + root @ np.asarray(jax.random.normal(away, best.shape))
        value, gradient = target(at)
        begin = {"mean": centre + scale * best, "covariance": covariance * np.outer(scale, scale)}
        begin |= {"starts": (centre + scale * at)[None], "potentials": np.array([value])}
        begin |= {"gradients": (gradient / scale)[None]}
        found.append(jax.tree.map(np.asarray, _chain(build, warmup, draws, jax.random.key_data(move), begin, case)))
    z, diverging, n_steps = (np.stack(part) for part in zip(*found, strict=True))
    kept = z[:, warmup:]
    columns = [kept[..., i] for i in range(kept.shape[-1])]
    r_hat, ess = max(float(az.rhat(one)) for one in columns), min(float(az.ess(one)) for one in columns)
    return Drawn(kept, r_hat, ess, int(diverging[:, warmup:].sum()), int(n_steps.sum()))


def workers() -> Executor:
    """A process a core; what one has compiled it keeps. (NumPyro traces one model at a time in a process.)"""
    return ProcessPoolExecutor(cores(), get_context("spawn"))
