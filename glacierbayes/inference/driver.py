"""The driver of every engine: it makes the transitions of a chain, writes them in chunks and resumes from the last.

The draws of a chunk and the engine's state after them go into one file, so that a process that is ended can be
resumed by another with the same draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes.inference.chunks import (
    chunk_path,
    finished_chunks,
    pack_state,
    prior_path,
    read_arrays,
    unpack_state,
    write_arrays,
)
from glacierbayes.inference.engines.base import Engine
from glacierbayes.inference.prior import draw_prior
from glacierbayes.inference.problem import Problem
from glacierbayes.inference.start.mode import find_start

CHUNK = 25  # transitions between two files


@dataclass(frozen=True)
class Settings:
    """Sizes of a run.

    Attributes:
        chains: number of chains.
        draws, warmup: recorded and adapting transitions of each chain.
        seed: seed of all random numbers.
        prior_draws: draws of the prior for each chain.
    """

    chains: int
    draws: int
    warmup: int
    seed: int
    prior_draws: int


@dataclass(frozen=True)
class Task:
    """All that a run needs; it can be pickled for another process.

    Attributes:
        engine: class of the engine.
        model: the model function.
        glacier, observations: one of each, or tuples, with arrays of NumPy.
        options: of the model.
        folder: of the parts.
        settings: sizes.
    """

    engine: type[Engine]
    model: Callable
    glacier: Any
    observations: Any
    options: dict[str, Any]
    folder: Path
    settings: Settings


class Driver:
    """Runs the chains of a task. Programs that one chain has compiled are used by the next."""

    def __init__(self, task: Task, report: Callable[[dict[str, Any]], None]):
        """Traces the model.

        Args:
            task: the run.
            report: is called with a message after every chunk.
        """
        glacier, observations = (jax.tree.map(jnp.asarray, data) for data in (task.glacier, task.observations))
        self.task, self.report = task, report
        self.problem = Problem(task.model, glacier, observations, task.options)
        self._evaluate = jax.jit(self.problem.evaluate)
        self._solver_result = jax.jit(self.problem.solver_result)
        self._engine: Engine | None = None

    def find_start(self) -> None:
        """Finds the start of the chains and writes it; does nothing where it is written already."""
        path, settings = self.task.folder / "start.npz", self.task.settings
        if not path.is_file():
            write_arrays(path, find_start(self.problem, settings.seed, settings.chains))

    def run_chain(self, chain: int) -> None:
        """Runs a chain to its end from its last chunk on disk, then draws its share of the prior draws."""
        settings, folder = self.task.settings, self.task.folder
        if self._engine is None:
            start = read_arrays(folder / "start.npz")
            self._engine = self.task.engine(self.problem, start, settings.warmup)
        engine = self._engine
        key = jax.random.fold_in(jax.random.key(settings.seed), chain)
        transitions, noise, before = jax.random.split(key, 3)
        state = engine.init(jax.random.key_data(transitions), chain)
        done = finished_chunks(folder, chain)
        position, divergences = 0, 0
        if done:
            path = chunk_path(folder, chain, done - 1)
            last = read_arrays(path)
            state = unpack_state(path, last, state, engine.name, engine.state_format)
            position, divergences = int(last["position"]), int(last["divergences"])
        total = settings.warmup + settings.draws
        while position < total:
            began, first, warming = time.monotonic(), position, position < settings.warmup
            position = min(first + CHUNK, settings.warmup if warming else total)
            rows = []
            for i in range(first, position):
                if warming:
                    state = engine.warm_up(state)
                    rows.append(engine.statistics(state))
                else:
                    earlier, state = state, engine.step(state)
                    rows.append(self._recorded(engine, earlier, state, jax.random.fold_in(noise, i)))
            arrays = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
            divergences += 0 if warming else int(np.sum(arrays.get("diverging", 0)))
            text = engine.progress(arrays)
            seconds = time.monotonic() - began
            arrays |= pack_state(state) | {"engine": np.asarray(engine.name)}
            numbers = {"state_format": engine.state_format, "position": position, "divergences": divergences}
            numbers |= {"warmup": warming, "chunk_seconds": seconds}
            write_arrays(chunk_path(folder, chain, done), arrays | {k: np.asarray(v) for k, v in numbers.items()})
            done += 1
            self.report(
                {
                    "chain": chain,
                    "position": position,
                    "text": text,
                    "divergences": divergences if "diverging" in arrays else None,
                    "left": seconds / (position - first) * (total - position),
                }
            )
        draw_prior(self.problem, prior_path(folder, chain), before, self._evaluate, settings.prior_draws)

    def _recorded(self, engine: Engine, before: Any, state: Any, key: Any) -> dict[str, Any]:
        """The row of a transition in a chunk: statistics by name, and values of the draw by GROUP/NAME."""
        row = engine.statistics(state)
        draw = engine.record(state)
        row = {"solver_failed": False, "solver_result": 0, **row, **draw.statistics}
        failed_at = engine.met_failed_solve(before) if bool(row.get("diverging", False)) else None
        if failed_at is not None:  # a failed solve is no divergence
            row |= {"diverging": False, "solver_failed": True, "solver_result": self._solver_result(failed_at)}
        groups = self._evaluate(draw.vector, key)
        return row | {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
