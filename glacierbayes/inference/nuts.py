"""One chain of NumPyro's NUTS, draw by draw, in chunks on disk. Runs in a process of its own.

The draws and the sampler's state after them go into one file, so that whatever kills the process, the next one
goes on from there and finds the same draws.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.infer import NUTS

from glacierbayes.inference.chunks import chunk_path, finished_chunks, read_arrays, write_arrays
from glacierbayes.inference.problem import Problem

CHUNK = 25  # transitions between two files
PRIOR_DRAWS = 100  # for each chain, solved once the chain is done
SPREAD = 1.5  # of the starts, in standard deviations of the Laplace approximation
FIRST_STEP = 0.3  # a long first step costs solves with absurd parameters
LONGEST_STEP = 1.0  # in posterior standard deviations; two is where leapfrog blows up on a Gaussian
TARGET = 0.8  # acceptance
LEAST_WARMUP = 20  # transitions a parameter; fewer give a worse mass matrix than the Laplace approximation's
MOST_DOUBLINGS = 4  # 15 gradients: half a period at the step sizes that the starting mass matrix allows


class StepSize(NamedTuple):
    """The search for the step size of a wanted acceptance (Robbins and Monro), in the place of NumPyro's.

    NumPyro's dual averaging begins at ten times the step size of now, at the start and with every new mass matrix,
    and one bad transition may move it tenfold. On a Gaussian this costs a gradient; here the parameters of a long
    step are absurd, and their solves took up to ten minutes. It also ended at an acceptance of 0.91 where 0.8 was
    asked for (ten independent normals), which is a third more gradients.

    Attributes:
        log_step: of the next transition while it warms up.
        mean: of the last ones; what is kept.
        count: transitions since the mass matrix was new.
    """

    log_step: Array
    mean: Array
    count: Array

    @staticmethod
    def first() -> StepSize:
        """Before the first transition."""
        return StepSize(jnp.log(FIRST_STEP), jnp.log(FIRST_STEP), jnp.zeros(()))

    def next(self, acceptance: Array, fresh: Array) -> StepSize:
        """After a transition; `fresh` says that it was the last one of its mass matrix."""
        count = jnp.where(fresh, 0.0, self.count) + 1
        log_step = self.log_step + count**-0.6 * (acceptance - TARGET)
        log_step = jnp.minimum(log_step, jnp.log(LONGEST_STEP))
        weight = count**-0.75
        return StepSize(log_step, (1 - weight) * self.mean + weight * log_step, count)


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
        self.kernel = self._kernel(jax.jit(problem.potential))
        self._step: Callable | None = None
        self._witness: Callable | None = None
        self._failures = 0

    def _kernel(self, potential: Callable) -> NUTS:
        return NUTS(
            potential_fn=potential,
            dense_mass=True,
            adapt_step_size=False,  # see StepSize
            adapt_mass_matrix=self.warmup >= LEAST_WARMUP * self.problem.dimension,
            inverse_mass_matrix=jnp.asarray(self.start["covariance"]),
            step_size=FIRST_STEP,
            target_accept_prob=TARGET,
            max_tree_depth=MOST_DOUBLINGS,
        )

    def first_state(self, key: Any) -> Any:
        """The state before the first transition, overdispersed about the mode."""
        place, key = jax.random.split(key)
        root = np.linalg.cholesky(self.start["covariance"])
        step = SPREAD
        while True:  # nearer to the mode where the solve failed
            z = jnp.asarray(self.start["mode"] + step * root @ np.asarray(jax.random.normal(place, (len(root),))))
            state = self.kernel.init(key, self.warmup, z, (), {})
            if np.isfinite(float(state.potential_energy)) or step < 1e-3:
                return state._replace(adapt_state=state.adapt_state._replace(ss_state=StepSize.first()))
            step /= 2

    def advance(self, state: Any) -> Any:
        """One transition."""
        if self._step is None:
            self._step = jax.jit(lambda state: self._tuned(state, self.kernel.sample(state, (), {})))
        return self._step(state)

    def _tuned(self, before: Any, after: Any) -> Any:
        """The state after a transition, with the step size for the next one."""
        old, new = before.adapt_state, after.adapt_state
        fresh = jnp.any(new.inverse_mass_matrix != old.inverse_mass_matrix)
        tuned = old.ss_state.next(after.accept_prob, fresh)
        step = jnp.exp(jnp.where(after.i < self.warmup, tuned.log_step, tuned.mean))
        step = jnp.where(after.i > self.warmup, old.step_size, step)
        return after._replace(adapt_state=new._replace(step_size=step, ss_state=tuned))

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

            kernel = self._kernel(potential)
            kernel.init(before.rng_key, self.warmup, before.z, (), {})
            self._witness = jax.jit(lambda state: kernel.sample(state, (), {}))
        self._failures = 0
        jax.block_until_ready(self._witness(before))
        jax.effects_barrier()
        return self._failures > 0

    def _count(self, finite: Any) -> None:
        self._failures += int(not finite)


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
    state = sampler.first_state(jax.random.key_data(keys[0]))
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
            row = {"diverging": bool(state.diverging) and not failed, "solver_failed": failed}
            row |= {
                "energy": state.energy,
                "lp": -state.potential_energy,
                "acceptance_rate": state.accept_prob,
                "step_size": state.adapt_state.step_size,
                "n_steps": state.num_steps,
                "tree_depth": int(np.log2(int(state.num_steps))) + 1,
            }
            if kept:
                said = evaluate(state.z, jax.random.fold_in(keys[1], i))
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
                "step_size": float(state.adapt_state.step_size),
                "steps": float(np.mean(arrays["n_steps"])),
                "divergences": divergences,
                "left": seconds / (position - first) * (warmup + draws - position),
            }
        )
    _prior_predictive(problem, folder / f"prior{chain}.npz", keys[2], evaluate)


def _prior_predictive(problem: Problem, path: Path, key: Any, evaluate: Callable) -> None:
    """Draws from the prior and what they would have seen; draws whose solve failed are counted and left out."""
    if path.is_file():
        return
    draw = jax.jit(problem.prior_vector)
    rows: list[dict[str, np.ndarray]] = []
    failed = 0
    for one in jax.random.split(key, PRIOR_DRAWS):
        place, noise = jax.random.split(one)
        said = evaluate(draw(place), noise)
        row = {
            f"{group}/{name}": np.asarray(said[group][name])
            for group in ("sites", "derived", "predictive")
            for name in said[group]
        }
        if all(np.all(np.isfinite(value)) for value in row.values()):
            rows.append(row)
        else:
            failed += 1
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}
    write_arrays(path, arrays | {"failed": np.asarray(failed)})


def _read(stream: Any, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = stream.read(size - len(parts))
        if not part:
            sys.exit(1)  # the parent is gone
        parts += part
    return parts


def main() -> None:
    """The chain's process: its task comes on standard input, its progress goes out as lines of JSON.

    Standard input stays open; its end means that the parent is gone, and with it the reason to go on.
    """
    import cloudpickle

    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a model prints is not progress
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    task = cloudpickle.loads(_read(incoming, int.from_bytes(_read(incoming, 8), "big")))

    def watch() -> None:
        incoming.read(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    glacier, observations = jax.tree.map(jnp.asarray, (task["glacier"], task["observations"]))
    problem = Problem(task["model"], glacier, observations, task["options"])
    if task["job"] == "start":
        from glacierbayes.inference.mode import find_start

        write_arrays(task["folder"] / "start.npz", find_start(problem, task["settings"]["seed"]))
    else:
        run_chain(problem, task["chain"], task["folder"], task["settings"], say)


if __name__ == "__main__":
    main()
