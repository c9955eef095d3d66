"""No-U-turn sampling: NumPyro's tree of three-stage steps, with a mass matrix adapted to draws and gradients.

Parameters that enter no run of the glacier (nuisance parameters) are updated by themselves between trajectories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int
from numpyro.infer.hmc_util import IntegratorState, build_tree, euclidean_kinetic_energy

from glacierbayes.inference.engines.base import Draw, TrajectoryEngine
from glacierbayes.inference.hamiltonian.adaptation import Moments, StepSize, renewal_transitions
from glacierbayes.inference.hamiltonian.integrator import STAGES, three_stages
from glacierbayes.inference.nuisance.gibbs import update_nuisance
from glacierbayes.inference.nuisance.split import Split
from glacierbayes.inference.problem import Problem

# A trajectory is doubled until it is about as long as this, in posterior standard deviations, unless it turns before:
# one more doubling costs twice as much and goes round, one less leaves draws that are autocorrelated. Where the
# posterior is nearly normal, one step is enough.
TRAJECTORY_LENGTH = 2.0
MAX_DOUBLINGS = 5
# Steps vary by this share: a direction that goes round in a whole number of equal steps would never be explored.
STEP_JITTER = 0.2
# An update of the nuisance parameters costs a gradient more: it comes after as many gradients as this, or more.
GRADIENTS_BETWEEN_UPDATES = 9


class NutsState(NamedTuple):
    """The state of a chain after a transition, with that of its adaptation.

    Attributes:
        key: raw random key of the next transition.
        position: number of transitions so far.
        z, gradient: unconstrained parameters, and the gradient of the potential there.
        potential, energy: without and with the momentum.
        n_steps, tree_depth: gradients and doublings of the last trajectory.
        acceptance_rate, diverging: of the last trajectory.
        step_size: of the next one.
        search: for the step size.
        covariance: the inverse of the mass matrix.
        before, since: moments of the draws between the last two renewals of the mass matrix, and since the last.
    """

    key: Array
    position: Int[Array, ""]
    z: Float[Array, " n"]
    gradient: Float[Array, " n"]
    potential: Float[Array, ""]
    energy: Float[Array, ""]
    n_steps: Int[Array, ""]
    tree_depth: Int[Array, ""]
    acceptance_rate: Float[Array, ""]
    diverging: Bool[Array, ""]
    step_size: Float[Array, ""]
    search: StepSize
    covariance: Float[Array, "n n"]
    before: Moments
    since: Moments


class Nuts(TrajectoryEngine):
    """The no-U-turn sampler of a problem."""

    name = "nuts"
    state_format = 2

    def __init__(self, problem: Problem, start: Mapping[str, np.ndarray], warmup: int):
        """See `Engine`."""
        super().__init__(problem, start, warmup)
        self._root = jnp.linalg.cholesky(jnp.asarray(start["covariance"]))
        split = Split(problem)
        # without nuisance parameters there is nothing to update; where all are, trajectories do it
        self._split = split if 0 < split.nuisance.size < problem.dimension else None
        # a program of its own: the search for the mode has compiled it
        self._gradient = jax.jit(jax.value_and_grad(problem.potential))
        self._move = jax.jit(partial(self.transition, problem.potential))
        self._update = jax.jit(self._updated)
        self._learn = jax.jit(self._adapted)

    def init(self, key: Array, chain: int) -> NutsState:
        """See `Engine`."""
        names = ("starts", "gradients", "potentials")
        z, gradient, potential = (jnp.asarray(self.start[name][chain]) for name in names)
        search, no_draws, zero = StepSize.initial(), Moments.zero(z.size), jnp.zeros((), int)
        return NutsState(
            key=key,
            position=zero,
            z=z,
            gradient=gradient,
            potential=potential,
            energy=potential,
            n_steps=zero,
            tree_depth=zero,
            acceptance_rate=jnp.zeros(()),
            diverging=jnp.zeros((), bool),
            step_size=jnp.exp(search.log_step),
            search=search,
            covariance=jnp.asarray(self.start["covariance"]),
            before=no_draws,
            since=no_draws,
        )

    def warm_up(self, state: NutsState) -> NutsState:
        """See `Engine`."""
        return self._learn(state, self.step(state))

    def step(self, state: NutsState) -> NutsState:
        """See `Engine`."""
        moved = self._move(state)
        if self._split is not None and int(moved.position) % _update_period(float(state.step_size)) == 0:
            z, _ = self._update(moved, 1)
            potential, gradient = self._gradient(z)
            moved = moved._replace(z=z, potential=potential, gradient=gradient, n_steps=moved.n_steps + 1)
        return moved

    def record(self, state: NutsState) -> Draw:
        """See `Engine`. The nuisance parameters are drawn once more for the draw that is written.

        The trajectory goes on from where it was, so this costs a run and no gradient: a thirtieth of a draw of Aletsch
        at 200 m, where 1060 draws of the discrepancy are then worth 934 and not 442.
        """
        z, potential = (state.z, state.potential) if self._split is None else self._update(state, 2)
        return Draw(z, {"lp": -potential})

    def statistics(self, state: NutsState) -> dict[str, Any]:
        """See `Engine`."""
        names = ("energy", "acceptance_rate", "diverging", "step_size", "n_steps", "tree_depth")
        return {name: getattr(state, name) for name in names}

    def progress(self, statistics: Mapping[str, np.ndarray]) -> str:
        """See `Engine`."""
        gradients = float(np.mean(statistics["n_steps"]))
        return f"step size {float(statistics['step_size'][-1]):.2g}, {gradients:.0f} gradients a draw"

    def _updated(self, state: NutsState, stream: int | Array) -> tuple[Array, Array]:
        """The update in the chain (stream 1) and that of the recorded draw (stream 2) have random keys of their own."""
        assert self._split is not None
        return update_nuisance(self._split, jax.random.fold_in(state.key, stream), state.z, state.covariance)

    def _adapted(self, old: NutsState, new: NutsState) -> NutsState:
        """The state after a warm-up transition, with step size and mass matrix adapted to it."""
        renewed = jnp.any(new.position == renewal_transitions(self.warmup))
        # in coordinates in which the first guess is 1
        draw = solve_triangular(self._root, new.z - self.start["mean"], lower=True)
        since = old.since.add_draw(draw, self._root.T @ new.gradient)

        def adapted_covariance() -> Array:
            both = since.add(old.before)
            return both.widen(self._root @ both.covariance() @ self._root.T, self._root)

        covariance = lax.cond(renewed, adapted_covariance, lambda: old.covariance)
        before, since = lax.cond(renewed, lambda: (since, Moments.zero(draw.size)), lambda: (old.before, since))
        search = old.search.update(new.acceptance_rate, renewed)
        final = capped_step_size(jnp.exp(search.mean))
        step_size = jnp.where(new.position < self.warmup, jnp.exp(search.log_step), final)
        return new._replace(step_size=step_size, search=search, covariance=covariance, before=before, since=since)

    @staticmethod
    def transition(potential: Callable, state: NutsState) -> NutsState:
        """See `TrajectoryEngine`."""
        key, momentum, tree, jitter = jax.random.split(state.key, 4)
        # of a mass matrix that is the inverse of the covariance
        root = jnp.linalg.cholesky(state.covariance)
        momenta = solve_triangular(root.T, jax.random.normal(momentum, state.z.shape), lower=False)
        size = state.step_size * jax.random.uniform(jitter, minval=1 - STEP_JITTER, maxval=1 + STEP_JITTER)
        # NumPyro takes a pair, though its annotation is a number
        max_tree_depth: Any = (doublings(state.step_size), MAX_DOUBLINGS)
        trajectory = build_tree(
            three_stages(potential),
            euclidean_kinetic_energy,
            IntegratorState(state.z, momenta, state.potential, state.gradient),
            state.covariance,
            size,
            tree,
            max_tree_depth=max_tree_depth,
        )
        return state._replace(
            key=key,
            position=state.position + 1,
            z=trajectory.z_proposal,
            gradient=trajectory.z_proposal_grad,
            potential=trajectory.z_proposal_pe,
            energy=trajectory.z_proposal_energy,
            n_steps=STAGES * trajectory.num_proposals,
            tree_depth=trajectory.depth,
            acceptance_rate=trajectory.sum_accept_probs / trajectory.num_proposals,
            diverging=trajectory.diverging,
        )


def doublings(step_size: Array) -> Array:
    """Returns the number of doublings that make a trajectory of about `TRAJECTORY_LENGTH`."""
    return jnp.clip(jnp.round(jnp.log2(TRAJECTORY_LENGTH / step_size + 1)).astype(int), 1, MAX_DOUBLINGS)


def capped_step_size(step_size: Array) -> Array:
    """Returns the step size, or the one with which as many doublings make a trajectory of `TRAJECTORY_LENGTH`.

    The shorter step needs no more gradients, and is accepted where the posterior is narrow. Towards one corner of the
    function of `diffusivity_correction` one direction is seven times as narrow as elsewhere: a quarter of the steps of
    0.87 was accepted there, and chains did not move for fifty draws; of steps of 0.67 two thirds were accepted.
    """
    return jnp.minimum(step_size, TRAJECTORY_LENGTH / (2.0 ** doublings(step_size) - 1))


def _update_period(step_size: float) -> int:
    """Number of trajectories from an update of the nuisance parameters to the next."""
    gradients = STAGES * (2 ** int(doublings(jnp.asarray(step_size))) - 1)
    return math.ceil(GRADIENTS_BETWEEN_UPDATES / gradients)
