"""What a glacier says of its own creep parameter, by NUTS on exact solves: for studies of one law for many glaciers.

A law A(T) enters a glacier through one number. Given it, no glacier knows of another, so that the posterior of the law
needs one curve a glacier: the likelihood of its ln A with all else of it integrated out. That is the density of its ln
A under a wide prior over that prior, and nothing is interpolated. `temperature_law_check.py` compares with NUTS on all
glaciers at once.
"""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax
from jaxtyping import Array, Float
from scipy.optimize import minimize

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import read_arrays, write_arrays
from glacierbayes.inference.nuts import Chain
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.workers import cores

YEARS, IMAGES = (2000.0, 2020.0), 2018.0
GRADIENT, GRADIENT_FACTOR = 0.0065, 1.5  # prior of the balance gradient, per year
CENTRE, WIDTH = float(np.log(priors.TYPICAL_CREEP)), priors.CREEP_DEPARTURE  # of ln A, as every family has it
KNOTS = (0.01, 0.2, 0.5, 0.8, 0.99)  # of the curves: quantiles of the draws
STARTS = 7  # values of ln A, from which the search for the mode begins


class Known(NamedTuple):
    """What the models need of a glacier beside its grid: mean elevation (m), uncertainty of the thickness, a share."""

    height: Any
    scale_sigma: Any


class Alone(NamedTuple):
    """Draws of ln A of one glacier, (chain, draw), and how they were found."""

    draws: np.ndarray
    r_hat: float
    ess: float
    divergences: int
    gradients: int


class Curves(NamedTuple):
    """Likelihoods of ln A: natural cubic splines in the logarithm, straight beyond the draws; glacier in front."""

    centre: Float[Array, " glacier"]
    width: Float[Array, " glacier"]
    knots: Float[Array, "glacier knot"]
    weights: Float[Array, "glacier basis"]

    def log(self, log_creep: Float[Array, " glacier"]) -> Float[Array, " glacier"]:
        """Up to a constant."""
        return jnp.sum(_basis((log_creep - self.centre) / self.width, self.knots) * self.weights, -1)


def mean_height(glacier: gb.Glacier) -> float:
    """Of the surface over the ice, m."""
    return float(np.mean(np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]))


def seen(glacier: gb.Glacier, observations: gb.Observations, known: Known, creep: Any) -> None:
    """The block of a model that is one glacier: its unknowns but for the creep parameter, its run, its likelihood."""
    factor = dist.LogNormal(0.0, jnp.log1p(known.scale_sigma))
    scale = priors.sample("thickness_scale", factor, "1", "factor on the ice thickness")
    line = priors.sample("equilibrium_line", dist.Normal(known.height, 200.0), "m", "equilibrium line altitude")
    steep = priors.lognormal(GRADIENT, GRADIENT_FACTOR)
    gradient = priors.sample("balance_gradient", steep, "yr-1", "mass balance gradient")
    balance = gb.mass_balance.LinearGradient(line, gradient)
    law = gb.laws.Glen(creep)
    history = gb.simulate(glacier.scaled(scale), law, balance, YEARS, (IMAGES,), leave_window=False)
    priors.observe(history, observations)


def model(glacier: gb.Glacier, observations: gb.Observations, *, known: Known) -> None:
    """One glacier with a creep parameter of its own."""
    log_creep = priors.sample("log_creep", dist.Normal(CENTRE, WIDTH), "1", "logarithm of the creep parameter")
    seen(glacier, observations, known, jnp.exp(log_creep))


def problem_of(case: tuple) -> Problem:
    """The model of one glacier with its data."""
    glacier, observations, known = case
    return Problem(model, glacier, observations, {"known": known})


# The data are arguments of what is compiled: glaciers of the same shape, and data drawn again, share it.
@jax.jit
def _value_and_grad(z: Array, case: tuple) -> tuple[Array, Array]:
    return jax.value_and_grad(problem_of(case).potential)(z)


@jax.jit
def _prior(case: tuple) -> Array:
    return lax.map(problem_of(case).prior_vector, jax.random.split(jax.random.key(0), 200))


@partial(jax.jit, static_argnums=(0, 1))
def _chain(warmup: int, draws: int, key: Array, start: dict[str, Array], case: tuple) -> Any:
    chain = Chain(problem_of(case), warmup, start)

    def step(state: Any, _: None) -> Any:
        state = chain.advance(state)
        return state, (state.z, state.diverging, state.n_steps)

    return lax.scan(step, chain.first_state(key, 0), None, warmup + draws)[1]


def sample(glacier, observations, known: Known, seed: int, warmup: int, draws: int, chains: int = 2) -> Alone:
    """ln A of one glacier under the wide prior.

    Args:
        glacier, observations, known: of the glacier.
        seed: of the chains.
        warmup, draws, chains: transitions of each, and how many.
    """
    case = (glacier, observations, known)
    problem = problem_of(case)
    place = problem.names.index("log_creep")
    prior = np.asarray(_prior(case))
    centre, scale = np.median(prior, 0), prior.std(0)

    def target(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _value_and_grad(jnp.asarray(centre + scale * w), case)
        good = bool(jnp.isfinite(value)) and bool(jnp.all(jnp.isfinite(gradient)))
        return (float(value), np.asarray(gradient) * scale) if good else (1e8, np.zeros_like(w))

    tries = np.linspace(-2, 2, STARTS)[:, None] * np.eye(centre.size)[place]
    first = min(tries, key=lambda w: target(w)[0])
    best = minimize(target, first, jac=True, method="BFGS", options={"gtol": 0.05, "maxiter": 60}).x
    steps = 1e-2 * np.eye(centre.size)
    hessian = np.array([target(best + s)[1] - target(best - s)[1] for s in steps]) / 2e-2
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    covariance = (vectors / np.maximum(np.abs(values), 1.0)) @ vectors.T
    root = np.linalg.cholesky(covariance)
    found = []
    for key in jax.random.split(jax.random.key(seed), chains):
        away, move = jax.random.split(key)
        at = best + root @ np.asarray(jax.random.normal(away, best.shape))
        value, gradient = target(at)
        start = {"mode": centre + scale * best, "covariance": covariance * np.outer(scale, scale)}
        start |= {"starts": (centre + scale * at)[None], "potentials": np.array([value])}
        start |= {"gradients": (gradient / scale)[None]}
        found.append(jax.tree.map(np.asarray, _chain(warmup, draws, jax.random.key_data(move), start, case)))
    z, diverging, n_steps = (np.stack(part) for part in zip(*found, strict=True))
    log_creep = z[:, warmup:, place]
    r_hat, ess = float(az.rhat(log_creep)), float(az.ess(log_creep))
    return Alone(log_creep, r_hat, ess, int(diverging[:, warmup:].sum()), int(n_steps.sum()))


def workers() -> Executor:
    """A process a core; what one has compiled it keeps. (NumPyro traces one model at a time in a process.)"""
    return ProcessPoolExecutor(cores(), get_context("spawn"))


def sample_all(
    cases: list[tuple], seed: int, warmup: int, draws: int, pool: Executor, folder: Path | None = None
) -> list[Alone]:
    """Every glacier, as many at once as there are workers.

    Args:
        cases: (glacier, observations, known) of each.
        seed, warmup, draws: see `sample`.
        pool: of `workers`.
        folder: keeps what is done; a second call takes it from there.
    """
    cases = jax.tree.map(np.asarray, cases)
    return list(pool.map(partial(_kept, seed, warmup, draws, folder), range(len(cases)), cases))


def _kept(seed: int, warmup: int, draws: int, folder: Path | None, number: int, case: tuple) -> Alone:
    path = None if folder is None else folder / f"glacier{number}_seed{seed}_{warmup}_{draws}.npz"
    if path is not None and path.exists():
        kept = read_arrays(path)
        return Alone(kept.pop("draws"), **{name: value.item() for name, value in kept.items()})
    found = sample(*jax.tree.map(jnp.asarray, case), seed + number, warmup, draws)
    if path is not None:
        write_arrays(path, {name: np.asarray(value) for name, value in found._asdict().items()})
    return found


def _basis(x: Array, knots: Array) -> Array:
    """Natural cubic splines but for the constant; x (...), knots (..., knot)."""

    def cubed(k: int) -> Array:
        past = jnp.maximum(x - knots[..., k], 0.0) ** 3 - jnp.maximum(x - knots[..., -1], 0.0) ** 3
        return past / (knots[..., -1] - knots[..., k])

    bends = [cubed(k) - cubed(-2) for k in range(knots.shape[-1] - 2)]
    return jnp.stack([x, *bends], -1)


def curve(draws: np.ndarray) -> Curves:
    """The likelihood of ln A by its draws: the density of greatest likelihood with a spline as its logarithm.

    Kooperberg and Stone 1991 (doi 10.1016/0167-9473(91)90115-I).

    Args:
        draws: of ln A, under the prior N(CENTRE, WIDTH).
    """
    draws = draws.ravel()
    centre, width = draws.mean(), draws.std()
    x = (draws - centre) / width
    knots = jnp.asarray(np.quantile(x, KNOTS))
    grid = jnp.linspace(CENTRE - 7 * WIDTH, CENTRE + 7 * WIDTH, 4001)
    prior = -0.5 * ((grid - CENTRE) / WIDTH) ** 2
    on_grid, mean = _basis((grid - centre) / width, knots), jnp.mean(_basis(jnp.asarray(x), knots), 0)

    @jax.jit
    def misfit(weights: Array) -> Array:
        return jax.nn.logsumexp(on_grid @ weights + prior) - mean @ weights

    first = jnp.zeros(mean.size)
    both, second = jax.jit(jax.value_and_grad(misfit)), jax.jit(jax.hessian(misfit))
    found = minimize(both, first, jac=True, hess=second, method="trust-exact", options={"gtol": 1e-7})
    return Curves(jnp.asarray(centre), jnp.asarray(width), knots, jnp.asarray(found.x))


def curves(glaciers: list[Alone]) -> Curves:
    """Of all glaciers."""
    return jax.tree.map(lambda *parts: jnp.stack(parts), *(curve(one.draws) for one in glaciers))
