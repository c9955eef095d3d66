"""What a glacier says of its own flow law, by NUTS on exact solves: for studies of one law for many glaciers.

A law A(T) enters a glacier through one number. Given it, no glacier knows of another, so that the posterior of the law
needs one curve a glacier (`likelihoods.py`): the likelihood of its ln A with all else of it integrated out. Nothing is
interpolated. `temperature_law_coverage.py --check` compares with NUTS on all glaciers at once.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH
from sampling import Build, nuts

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import read_arrays, write_arrays
from glacierbayes.inference.problem import Problem

YEARS, IMAGES = (2000.0, 2020.0), 2018.0
GRADIENT, GRADIENT_FACTOR = 0.0065, 1.5  # prior of the balance gradient, per year


class Known(NamedTuple):
    """What the models need of a glacier beside its grid: mean elevation (m), uncertainty of the thickness, a share."""

    height: Any
    scale_sigma: Any


class Alone(NamedTuple):
    """Draws of ln A (and ln C) of one glacier, (chain, draw), and how they were found."""

    log_creep: np.ndarray
    log_sliding: np.ndarray
    r_hat: float
    ess: float
    divergences: int
    gradients: int


def mean_height(glacier: gb.Glacier) -> float:
    """Of the surface over the ice, m."""
    return float(np.mean(np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]))


def seen(glacier: gb.Glacier, observations: gb.Observations, known: Known, law: gb.laws.FlowLaw) -> None:
    """The block of a model that is one glacier: its unknowns but for the law, its run, its likelihood."""
    factor = dist.LogNormal(0.0, jnp.log1p(known.scale_sigma))
    scale = priors.sample("thickness_scale", factor, "1", "factor on the ice thickness")
    line = priors.sample("equilibrium_line", dist.Normal(known.height, 200.0), "m", "equilibrium line altitude")
    steep = priors.lognormal(GRADIENT, GRADIENT_FACTOR)
    gradient = priors.sample("balance_gradient", steep, "yr-1", "mass balance gradient")
    balance = gb.mass_balance.LinearGradient(line, gradient)
    history = gb.simulate(glacier.scaled(scale), law, balance, YEARS, (IMAGES,), leave_window=False)
    priors.observe(history, observations)


def _model(glacier: gb.Glacier, observations: gb.Observations, *, known: Known, sliding: bool) -> None:
    log_creep = priors.sample("log_creep", dist.Normal(CENTRE, WIDTH), "1", "logarithm of the creep parameter")
    law: Any = gb.laws.Glen(jnp.exp(log_creep))
    if sliding:
        wide = dist.Normal(SLIDING_CENTRE, SLIDING_WIDTH)
        law += gb.laws.WeertmanSliding(jnp.exp(priors.sample("log_sliding", wide, "1", "log of the sliding parameter")))
    seen(glacier, observations, known, law)


def creeping(case: tuple) -> Problem:
    """One glacier with a creep parameter of its own."""
    glacier, observations, known = case
    return Problem(_model, glacier, observations, {"known": known, "sliding": False})


def creeping_and_sliding(case: tuple) -> Problem:
    """One glacier with a creep and a sliding parameter of its own."""
    glacier, observations, known = case
    return Problem(_model, glacier, observations, {"known": known, "sliding": True})


def sample_all(
    build: Build, cases: list[tuple], seed: int, lengths: tuple[int, int], pool: Executor, folder: Path | None = None
) -> list[Alone]:
    """Every glacier by itself, as many at once as there are workers.

    Args:
        build: `creeping` or `creeping_and_sliding`.
        cases: (glacier, observations, known) of each.
        seed: of all chains.
        lengths: warm-up and draws of the two chains of each.
        pool: of `sampling.workers`.
        folder: keeps what is done; a second call takes it from there.
    """
    cases = jax.tree.map(np.asarray, cases)
    return list(pool.map(partial(_one, build, seed, lengths, folder), range(len(cases)), cases))


def _one(build: Build, seed: int, lengths: tuple[int, int], folder: Path | None, number: int, case: tuple) -> Alone:
    path = None if folder is None else folder / f"glacier{number}_seed{seed}_{lengths[0]}_{lengths[1]}.npz"
    if path is not None and path.exists():
        kept = read_arrays(path)
        return Alone(**{name: value if value.ndim else value.item() for name, value in kept.items()})
    case = jax.tree.map(jnp.asarray, case)
    drawn = nuts(build, case, seed + number, *lengths, along="log_creep")
    names = build(case).names
    none = np.full(drawn.z.shape[:2], -np.inf)
    columns = [drawn.z[..., names.index(n)] if n in names else none for n in ("log_creep", "log_sliding")]
    found = Alone(*columns, *drawn[1:])
    if path is not None:
        write_arrays(path, {name: np.asarray(value) for name, value in found._asdict().items()})
    return found
