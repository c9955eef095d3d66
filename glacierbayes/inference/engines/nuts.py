"""One chain of NumPyro's NUTS, draw by draw, in chunks on disk.

The draws and the sampler's state after them go into one file, so that whatever kills the process, the next one
goes on from there and finds the same draws.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int
from numpyro.infer.hmc_util import IntegratorState, build_tree, euclidean_kinetic_energy

from glacierbayes.inference.chunks import chunk_path, finished_chunks, read_arrays, write_arrays
from glacierbayes.inference.hamiltonian.adaptation import Moments, StepSize, renewals
from glacierbayes.inference.hamiltonian.integrator import STAGES, three_stages
from glacierbayes.inference.nuisance.refresh import refreshed
from glacierbayes.inference.nuisance.split import Split
from glacierbayes.inference.prior import draw_prior
from glacierbayes.inference.problem import Problem

CHUNK = 25  # transitions between two files
# A trajectory is doubled until it is about as long as this, in posterior standard deviations, unless it turns before:
# one more doubling costs twice as much and goes round, one less leaves draws that lean on each other. Where the
# posterior is nearly normal, one step is enough.
LENGTH = 2.0
MOST_DOUBLINGS = 5
# Steps vary by this share: a direction that goes round in a whole number of equal steps would never be explored.
JITTER = 0.2
# A refresh costs a gradient more: after as many gradients as this, or more.
REFRESHED_AFTER = 9


class State(NamedTuple):
    """A chain after a transition, and what it has learnt.

    Attributes:
        key: of the next transition.
        position: transitions so far.
        z, gradient: unconstrained parameters, and the gradient of the potential there.
        potential, energy: without and with the momentum.
        n_steps, depth: gradients and doublings of the last trajectory.
        acceptance, diverging: of the last trajectory.
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
    depth: Int[Array, ""]
    acceptance: Float[Array, ""]
    diverging: Bool[Array, ""]
    step_size: Float[Array, ""]
    search: StepSize
    covariance: Float[Array, "n n"]
    before: Moments
    since: Moments


class Chain:
    """NUTS on a problem.

    Args:
        problem: the model and its data.
        warmup: transitions that adapt.
        start: from `mode.find_start`.
    """

    def __init__(self, problem: Problem, warmup: int, start: dict[str, np.ndarray]):
        """Compiles nothing yet."""
        self.problem, self.warmup, self.start = problem, warmup, start
        self.root = jnp.linalg.cholesky(jnp.asarray(start["covariance"]))
        split = Split(problem)
        # where nothing is cheap there is nothing to refresh; where all is, trajectories do
        self._split = split if 0 < split.cheap.size < problem.dimension else None
        # a program of its own: the search for the mode has compiled it
        self._gradient = jax.jit(jax.value_and_grad(problem.potential))
        self._move = jax.jit(partial(_transition, problem.potential))
        self._refresh = jax.jit(self._refreshed)
        self._learn = jax.jit(self._adapted)
        self._witness: Callable | None = None
        self._failures = 0

    def first_state(self, key: Array, chain: int) -> State:
        """The state of a chain before its first transition."""
        names = ("starts", "gradients", "potentials")
        z, gradient, potential = (jnp.asarray(self.start[name][chain]) for name in names)
        search, none, zero = StepSize.first(), Moments.none(z.size), jnp.zeros((), int)
        return State(
            key=key,
            position=zero,
            z=z,
            gradient=gradient,
            potential=potential,
            energy=potential,
            n_steps=zero,
            depth=zero,
            acceptance=jnp.zeros(()),
            diverging=jnp.zeros((), bool),
            step_size=jnp.exp(search.log_step),
            search=search,
            covariance=jnp.asarray(self.start["covariance"]),
            before=none,
            since=none,
        )

    def advance(self, state: State) -> State:
        """One transition."""
        moved = self._move(state)
        if self._split is not None and int(moved.position) % _period(float(state.step_size)) == 0:
            z, _ = self._refresh(moved, 1)
            potential, gradient = self._gradient(z)
            moved = moved._replace(z=z, potential=potential, gradient=gradient, n_steps=moved.n_steps + 1)
        return self._learn(state, moved)

    def kept(self, state: State) -> tuple[Array, Array]:
        """The draw that is written of a state, and its potential: the parameters that enter no run are drawn once more.

        The trajectory goes on from where it was, so this costs a run and no gradient: a thirtieth of a draw of Aletsch
        at 200 m, where 1060 draws of the discrepancy are then worth 934 and not 442.
        """
        return (state.z, state.potential) if self._split is None else self._refresh(state, 2)

    def _refreshed(self, state: State, stream: int | Array) -> tuple[Array, Array]:
        """The two refreshes of one state, the chain's and that of what is written, have streams of their own."""
        assert self._split is not None
        return refreshed(self._split, jax.random.fold_in(state.key, stream), state.z, state.covariance)

    def _adapted(self, old: State, new: State) -> State:
        """The state after a transition with what it has taught, while the chain warms up."""
        warming = new.position <= self.warmup
        renewed = jnp.any(new.position == renewals(self.warmup))
        # in coordinates in which the first guess is 1
        draw = solve_triangular(self.root, new.z - self.start["mean"], lower=True)
        since = old.since.and_draw(draw, self.root.T @ new.gradient)

        def learnt_covariance() -> Array:
            seen = since.plus(old.before)
            return seen.widened(self.root @ seen.covariance() @ self.root.T, self.root)

        covariance = lax.cond(renewed, learnt_covariance, lambda: old.covariance)
        before, since = lax.cond(renewed, lambda: (since, Moments.none(draw.size)), lambda: (old.before, since))
        search = old.search.next(new.acceptance, renewed)
        step_size = jnp.where(new.position < self.warmup, jnp.exp(search.log_step), _enough(jnp.exp(search.mean)))
        learnt = new._replace(step_size=step_size, search=search, covariance=covariance, before=before, since=since)
        return jax.tree.map(lambda a, b: jnp.where(warming, a, b), learnt, new)

    def met_failed_solve(self, before: Any) -> bool:
        """Whether the transition from this state met a failed solve: it is run again with a witness.

        NumPyro turns the NaN of a failed solve into a divergence, and keeps no trace of which it was. A witness
        in every run would keep the compiled kernel out of the cache.
        """
        if self._witness is None:

            def potential(z: Any) -> Any:
                value = self.problem.potential(z)
                jax.debug.callback(self._count, jnp.isfinite(value))
                return value

            self._witness = jax.jit(lambda state: _transition(potential, state))
        self._failures = 0
        jax.block_until_ready(self._witness(before))
        jax.effects_barrier()
        return self._failures > 0

    def _count(self, finite: Any) -> None:
        self._failures += int(not finite)


def _transition(potential: Callable, state: State) -> State:
    """One transition of NUTS."""
    key, momentum, tree, jitter = jax.random.split(state.key, 4)
    # of a mass matrix that is the inverse of the covariance
    root = jnp.linalg.cholesky(state.covariance)
    momenta = solve_triangular(root.T, jax.random.normal(momentum, state.z.shape), lower=False)
    size = state.step_size * jax.random.uniform(jitter, minval=1 - JITTER, maxval=1 + JITTER)
    most: Any = (_doublings(state.step_size), MOST_DOUBLINGS)  # NumPyro takes a pair, and says a number
    found = build_tree(
        three_stages(potential),
        euclidean_kinetic_energy,
        IntegratorState(state.z, momenta, state.potential, state.gradient),
        state.covariance,
        size,
        tree,
        max_tree_depth=most,
    )
    return state._replace(
        key=key,
        position=state.position + 1,
        z=found.z_proposal,
        gradient=found.z_proposal_grad,
        potential=found.z_proposal_pe,
        energy=found.z_proposal_energy,
        n_steps=STAGES * found.num_proposals,
        depth=found.depth,
        acceptance=found.sum_accept_probs / found.num_proposals,
        diverging=found.diverging,
    )


def _doublings(step_size: Array) -> Array:
    """How many doublings make a trajectory of about `LENGTH`."""
    return jnp.clip(jnp.round(jnp.log2(LENGTH / step_size + 1)).astype(int), 1, MOST_DOUBLINGS)


def _enough(step_size: Array) -> Array:
    """The step with which as many doublings make a trajectory of `LENGTH` and no longer.

    A shorter step costs nothing then, and goes where the posterior is narrow. On the way to one corner of the function
    of `diffusivity_correction` one direction is seven times as narrow as elsewhere: of steps of 0.87 a quarter was
    accepted there and chains stood still for fifty draws, of 0.67 two thirds.
    """
    return jnp.minimum(step_size, LENGTH / (2.0 ** _doublings(step_size) - 1))


def _period(step_size: float) -> int:
    """Trajectories from a refresh to the next."""
    return math.ceil(REFRESHED_AFTER / (STAGES * (2 ** int(_doublings(jnp.asarray(step_size))) - 1)))


def run_chain(problem: Problem, chain: int, folder: Path, settings: dict[str, Any], say: Callable) -> None:
    """Runs a chain to its end from the last whole chunk, then its share of the prior predictive.

    Args:
        problem: the model and its data.
        chain: its number.
        folder: OUTPUT.parts, with `start.npz` in it.
        settings: "warmup", "draws", "seed".
        say: is given a dict after every chunk.
    """
    warmup, draws = settings["warmup"], settings["draws"]
    keys = jax.random.split(jax.random.fold_in(jax.random.key(settings["seed"]), chain), 3)
    sampler = Chain(problem, warmup, read_arrays(folder / "start.npz"))
    state = sampler.first_state(jax.random.key_data(keys[0]), chain)
    evaluate = jax.jit(problem.evaluate)
    done = finished_chunks(folder, chain)
    position, divergences = 0, 0
    if done:
        last = read_arrays(chunk_path(folder, chain, done - 1))
        leaves, tree = jax.tree.flatten(state)
        state = jax.tree.unflatten(tree, [jnp.asarray(last[f"state_{i:02d}"]) for i in range(len(leaves))])
        position, divergences = int(last["position"]), int(last["divergences"])
    while position < warmup + draws:
        began, first = time.monotonic(), position
        rows: list[dict[str, Any]] = []
        end = min(position + CHUNK, warmup + draws)
        if position < warmup:  # a chunk holds warm-up or draws
            end = min(end, warmup)
        for i in range(position, end):
            before, state = state, sampler.advance(state)
            kept = i >= warmup
            failed = bool(state.diverging) and kept and sampler.met_failed_solve(before)
            divergences += int(bool(state.diverging) and kept and not failed)
            z, potential = sampler.kept(state) if kept else (state.z, state.potential)
            row = {"diverging": bool(state.diverging) and not failed, "solver_failed": failed}
            row |= {
                "energy": state.energy,
                "lp": -potential,
                "acceptance_rate": state.acceptance,
                "step_size": state.step_size,
                "n_steps": state.n_steps,
                "tree_depth": state.depth,
            }
            if kept:
                said = evaluate(z, jax.random.fold_in(keys[1], i))
                row |= {f"{group}/{name}": v for group, values in said.items() for name, v in values.items()}
            rows.append(row)
        arrays = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
        position = end
        arrays |= {f"state_{i:02d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        arrays |= {"position": np.asarray(position), "divergences": np.asarray(divergences)}
        seconds = time.monotonic() - began
        arrays |= {"warmup": np.asarray(position <= warmup), "chunk_seconds": np.asarray(seconds)}
        write_arrays(chunk_path(folder, chain, done), arrays)
        done += 1
        say(
            {
                "chain": chain,
                "position": position,
                "step_size": float(state.step_size),
                "steps": float(np.mean(arrays["n_steps"])),
                "divergences": divergences,
                "left": seconds / (position - first) * (warmup + draws - position),
            }
        )
    draw_prior(problem, folder / f"prior{chain}.npz", keys[2], evaluate)
