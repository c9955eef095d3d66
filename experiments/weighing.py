"""Weighted draws of a posterior of some ten unknowns, by runs without a gradient: adaptive importance sampling.

Rounds of draws from mixtures of Student-t, every mixture fitted to all weighted draws before it (Cappe et al. 2008, doi
10.1007/s11222-008-9059-x); all rounds count, each draw against the mean of all proposals (Cornuet et al. 2012, doi
10.1111/j.1467-9469.2011.00756.x); the largest weights are smoothed (Vehtari et al. 2024, arXiv 1507.02646). What bends,
or has a long tail, costs NUTS on these few cells minutes a glacier, and a hundred draws are all it has then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import arviz  # noqa: F401 (gives arrays `azstats`)
import jax.numpy as jnp
import numpy as np
import xarray as xr
from sampling import Build, potentials, start
from scipy.special import gammaln, logsumexp

DRAWS_PER_ROUND, MIN_ROUNDS, MAX_ROUNDS = 500, 4, 24  # draws of a round; rounds
TARGET_ESS, K_HAT = 1000.0, 0.7  # effective draws, and the shape of the weights' tail, at which it ends
FREEDOM, SPREAD = 5.0, 1.5  # of the Student-t; variances of the first proposal over the Laplace approximations'
PARTS, DRAWS_OF_A_PART = 4, 80.0  # of a mixture at most; effective draws that one takes
PRIOR_SHARE = 0.1  # of every proposal, a part as wide as the prior, for arms that the mode does not see
STEPS = 40  # of the fit


class Weighted(NamedTuple):
    """Unconstrained draws (draw, parameter) with weights that sum to one, and how good they are."""

    z: np.ndarray
    weight: np.ndarray
    k_hat: float
    ess: float


class Mixture(NamedTuple):
    """Of Student-t: shares (part), middles (part, parameter), lower roots of their matrices."""

    share: np.ndarray
    middle: np.ndarray
    root: np.ndarray

    def beside_the_prior(self) -> Mixture:
        """In coordinates that the prior scales."""
        d = self.middle.shape[1]
        share = np.append((1 - PRIOR_SHARE) * self.share, PRIOR_SHARE)
        middle = np.concatenate([self.middle, np.zeros((1, d))])
        return Mixture(share, middle, np.concatenate([self.root, np.eye(d)[None]]))

    def squares(self, x: np.ndarray) -> np.ndarray:
        """Distances from every middle, (part, draw)."""
        away = np.linalg.solve(self.root, np.swapaxes(x - self.middle[:, None], 1, 2))
        return np.sum(away**2, 1)

    def log_parts(self, x: np.ndarray) -> np.ndarray:
        """Log density of every part times its share, (part, draw)."""
        d = x.shape[1]
        level = gammaln((FREEDOM + d) / 2) - gammaln(FREEDOM / 2) - d / 2 * np.log(FREEDOM * np.pi)
        level = level + np.log(self.share) - np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(1)
        return level[:, None] - (FREEDOM + d) / 2 * np.log1p(self.squares(x) / FREEDOM)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count, parameter)."""
        part = rng.choice(self.share.size, count, p=self.share)
        step = rng.normal(size=(count, self.middle.shape[1]))
        step /= np.sqrt(rng.chisquare(FREEDOM, count) / FREEDOM)[:, None]
        return self.middle[part] + np.einsum("nij,nj->ni", self.root[part], step)


class Rounds:
    """Draws of one posterior, and of what a factor makes of it: all that were made for one serve the next.

    Args:
        build: the model with its data; a function of a module, the same for all data sets.
        case: the data.
        seed: of the draws.
        along: a parameter; searches for modes start from all parts of its range.
    """

    def __init__(self, build: Build, case: Any, seed: int, along: str | None = None):
        """Looks for the modes; nothing is drawn yet."""
        self.rng, self.build, self.case = np.random.default_rng(seed), build, case
        self.first = start(build, case, along)
        count, self.dimension = self.first.modes.shape
        roots = np.linalg.cholesky(SPREAD * self.first.covariances)
        self.proposals = [Mixture(np.full(count, 1 / count), self.first.modes, roots).beside_the_prior()]
        self.x, self.height = np.empty((0, self.dimension)), np.empty(0)

    def until(self, enough: float = TARGET_ESS, log_factor: Callable | None = None) -> Weighted:
        """Rounds until there are enough effective draws and their weights have no heavy tail.

        Args:
            enough: effective draws.
            log_factor: of unconstrained draws (draw, parameter): what is added to the posterior's log density.
        """
        for count in range(MAX_ROUNDS):
            if self.x.size:
                found = self._weighted(log_factor)
                if count >= MIN_ROUNDS and found.ess >= enough and found.k_hat < K_HAT:
                    return found
                parts = min(PARTS, 1 + int(found.ess / DRAWS_OF_A_PART))
                self.proposals.append(_fitted(self.x, found.weight, parts, self.rng).beside_the_prior())
            more = self.proposals[-1].draw(self.rng, DRAWS_PER_ROUND)
            potential = potentials(self.build, jnp.asarray(self._place(more)), self.case)
            self.x = np.concatenate([self.x, more])
            self.height = np.concatenate([self.height, -np.asarray(potential)])
        return self._weighted(log_factor)

    def _place(self, x: np.ndarray) -> np.ndarray:
        return self.first.centre + self.first.scale * x

    def _weighted(self, log_factor: Callable | None) -> Weighted:
        z = self._place(self.x)
        height = self.height if log_factor is None else self.height + log_factor(z)
        proposed = logsumexp([logsumexp(one.log_parts(self.x), axis=0) for one in self.proposals], axis=0)
        log_weight = np.where(np.isfinite(height), height - proposed, -1e300)
        smoothed, k_hat = xr.DataArray(-log_weight, dims="draw").azstats.psislw(dim="draw")
        weight = np.exp(smoothed.values - logsumexp(smoothed.values))
        return Weighted(z, weight, float(k_hat), float(1 / np.sum(weight**2)))


def weigh(build: Build, case: Any, seed: int, along: str | None = None, enough: float = TARGET_ESS) -> Weighted:
    """Draws of a posterior; see `Rounds`."""
    return Rounds(build, case, seed, along).until(enough)


def _fitted(x: np.ndarray, weight: np.ndarray, parts: int, rng: np.random.Generator) -> Mixture:
    """Of greatest weighted likelihood, by expectation and maximisation; few draws leave a part the matrix of all."""
    d, middle = x.shape[1], weight @ x
    whole = (weight[:, None] * (x - middle)).T @ (x - middle) + 1e-9 * np.eye(d)
    begin = 0.3 * middle + 0.7 * x[rng.choice(len(x), parts, p=weight)]
    found = Mixture(np.full(parts, 1 / parts), begin, np.repeat(np.linalg.cholesky(whole / 2)[None], parts, 0))
    for _ in range(STEPS):
        log_parts = found.log_parts(x)
        own = weight * np.exp(log_parts - logsumexp(log_parts, axis=0))
        t_weight = own * (FREEDOM + d) / (FREEDOM + found.squares(x))
        share = np.maximum(own.sum(1), 1e-6)
        middles = t_weight @ x / np.maximum(t_weight.sum(1), 1e-6)[:, None]
        away = x - middles[:, None]
        matrices = np.einsum("kn,kni,knj->kij", t_weight, away, away, optimize=True) / share[:, None, None]
        effective = share**2 / np.maximum(np.sum(own**2, 1), 1e-12)
        shrinkage = (d / (d + effective))[:, None, None]
        matrices = (1 - shrinkage) * matrices + shrinkage * whole / 2
        found = Mixture(share / share.sum(), middles, np.linalg.cholesky(matrices))
    return found
