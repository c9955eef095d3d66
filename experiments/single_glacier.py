"""The likelihood of the flow law of one glacier, by exact solves: for studies of one law for many glaciers.

A law A(T) enters a glacier through one number. Given it, glaciers are independent, so that the posterior of the law
needs one curve a glacier (`likelihoods.py`): the likelihood of its ln A with all else of it integrated out, by weighted
draws (`weighing.py`). No run is interpolated. `temperature_law_coverage.py --check` compares with NUTS on all glaciers
at once.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from likelihoods import CENTRE, SLIDING_CENTRE, SLIDING_WIDTH, WIDTH, Curves, curve
from numpyro import distributions as dist
from sampling import Build
from weighing import Rounds, weigh

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.inference.chunks import read_arrays, write_arrays
from glacierbayes.inference.problem import Problem

YEARS, IMAGES = (2000.0, 2020.0), 2018.0
PRIOR_WIDENING = 1.5  # width of the draws that a curve is fitted to, over the prior's


class Known(NamedTuple):
    """What the models need of a glacier beside its grid.

    Attributes:
        height: mean elevation, m.
        scale_sigma: uncertainty of the thickness, a share.
        depth: thickness where the ice is fast, m.
    """

    height: Any
    scale_sigma: Any
    depth: Any


class GlacierPosterior(NamedTuple):
    """Weighted draws of ln A (and ln C) of one glacier, how good they are, and the likelihood of ln A without sliding.

    Where ice is too stiff for a flow that can be observed, the likelihood is constant, at a thousandth of its peak for
    example, which matters where the other glaciers need stiff ice. The draws do not reach that far, and an
    extrapolation of their density would give a millionth. The first guess of the curve is therefore divided out of the
    draws that the curve is fitted to, so that their ln A has the spread of a wide prior.
    """

    log_creep: np.ndarray
    log_sliding: np.ndarray
    weight: np.ndarray
    k_hat: float
    ess: float
    curve: Curves | None = None


def mean_height(glacier: gb.Glacier) -> float:
    """Of the surface over the ice, m."""
    return float(np.mean(np.asarray(glacier.surface)[np.asarray(glacier.thickness) > 0]))


def fast_depth(glacier: gb.Glacier) -> float:
    """Mean thickness as the speed weighs it, m."""
    thickness = np.asarray(glacier.thickness)
    return float(np.sum(thickness**5) / np.sum(thickness**4))


def observe_glacier(glacier: gb.Glacier, observations: gb.Observations, known: Known, law: gb.laws.FlowLaw) -> None:
    """Samples the unknowns of one glacier but for its law, runs it and adds its likelihood to the model."""
    factor = dist.LogNormal(0.0, jnp.log1p(known.scale_sigma))
    scale = priors.sample("thickness_scale", factor, "1", "factor on the ice thickness")
    balance = priors.linear_gradient(known.height, known.height)
    history = gb.simulate(glacier.scaled(scale), law, balance, YEARS, (IMAGES,), leave_window=False)
    priors.observe(history, observations)


def _creeping(glacier: gb.Glacier, observations: gb.Observations, *, known: Known) -> None:
    log_creep = priors.sample("log_creep", dist.Normal(CENTRE, WIDTH), "1", "logarithm of the creep parameter")
    observe_glacier(glacier, observations, known, gb.laws.Glen(jnp.exp(log_creep)))


def _creeping_and_sliding(glacier: gb.Glacier, observations: gb.Observations, *, known: Known) -> None:
    """ln A and ln C normal, sampled as the odds of sliding and, given those, ln of the creep that flows like both.

    An image tells the second and hardly the first; in ln A and ln C that is a bend of two long arms.
    """
    apart = np.hypot(WIDTH, SLIDING_WIDTH)
    middle = SLIDING_CENTRE - CENTRE - jnp.log(known.depth / 2)
    odds = priors.sample("log_odds", dist.Normal(middle, apart), "1", "log of sliding over creep in the speed")
    creep = dist.Normal(CENTRE - (WIDTH / apart) ** 2 * (odds - middle), WIDTH * SLIDING_WIDTH / apart)
    both = dist.Normal(creep.loc + jax.nn.softplus(odds), creep.scale)
    flow = priors.sample("log_flow", both, "1", "logarithm of the creep parameter that flows like both")
    log_creep, log_sliding = parts(flow, odds, known.depth)
    law = gb.laws.Glen(jnp.exp(log_creep)) + gb.laws.WeertmanSliding(jnp.exp(log_sliding))
    observe_glacier(glacier, observations, known, law)


def parts(log_flow: Any, log_odds: Any, depth: Any) -> tuple[Any, Any]:
    """ln A and ln C."""
    log_creep = log_flow - jnp.logaddexp(0.0, log_odds)
    return log_creep, log_creep + log_odds + jnp.log(depth / 2)


def creeping(case: tuple) -> Problem:
    """One glacier with a creep parameter of its own."""
    glacier, observations, known = case
    return Problem(_creeping, glacier, observations, {"known": known})


def creeping_and_sliding(case: tuple) -> Problem:
    """One glacier with a creep and a sliding parameter of its own."""
    glacier, observations, known = case
    return Problem(_creeping_and_sliding, glacier, observations, {"known": known})


def sample_all(
    build: Build, cases: list[tuple], seed: int, enough: float, pool: Executor, folder: Path | None = None
) -> list[GlacierPosterior]:
    """Samples every glacier by itself, as many at once as there are workers.

    Args:
        build: `creeping` or `creeping_and_sliding`.
        cases: (glacier, observations, known) of each.
        seed: of all draws.
        enough: effective draws of each.
        pool: of `sampling.workers`.
        folder: where results are stored; a second call reads them.
    """
    cases = jax.tree.map(np.asarray, cases)
    return list(pool.map(partial(_one, build, seed, enough, folder), range(len(cases)), cases))


def _one(build: Build, seed: int, enough: float, folder: Path | None, number: int, case: tuple) -> GlacierPosterior:
    path = None if folder is None else folder / f"glacier{number}_seed{seed}_{enough:g}.npz"
    if path is not None and path.exists():
        stored = read_arrays(path)
        likelihood = {name: stored.pop(name) for name in Curves._fields if name in stored}
        own = {name: value if value.ndim else value.item() for name, value in stored.items()}
        return GlacierPosterior(**own, curve=Curves(**likelihood) if likelihood else None)
    case = jax.tree.map(jnp.asarray, case)
    names = build(case).names
    if "log_odds" in names:
        found = weigh(build, case, seed + number, "log_flow", enough)
        flow, odds = (found.z[:, names.index(name)] for name in ("log_flow", "log_odds"))
        columns = [np.asarray(part) for part in parts(flow, odds, case[2].depth)]
        posterior = GlacierPosterior(*columns, *found[1:])
    else:
        posterior = posterior_and_curve(
            Rounds(build, case, seed + number, "log_creep"), names.index("log_creep"), enough
        )
    if path is not None:
        arrays = posterior._asdict() | ({} if posterior.curve is None else posterior.curve._asdict())
        write_arrays(path, {name: np.asarray(value) for name, value in arrays.items() if name != "curve"})
    return posterior


def posterior_and_curve(rounds: Rounds, at: int, enough: float) -> GlacierPosterior:
    """Draws of the posterior, and the curve of more of them; ln A is parameter `at`."""
    found = rounds.until(enough)
    guess = curve(found.z[:, at], found.weight).floored()

    def levels(z: np.ndarray) -> np.ndarray:
        wider = 0.5 * (1 - PRIOR_WIDENING**-2) * ((z[:, at] - CENTRE) / WIDTH) ** 2
        return wider - np.asarray(guess.log(z[:, at]))

    level = rounds.until(enough, levels)
    likelihood = curve(level.z[:, at], level.weight, guess, PRIOR_WIDENING * WIDTH)
    no_sliding = np.full(len(found.z), -np.inf)
    k_hat, ess = max(found.k_hat, level.k_hat), min(found.ess, level.ess)
    return GlacierPosterior(found.z[:, at], no_sliding, found.weight, k_hat, ess, likelihood)
