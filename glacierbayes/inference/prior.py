"""Draws from the prior and the prior predictive distribution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glacierbayes.inference.chunks import write_arrays
from glacierbayes.inference.problem import Problem

PRIOR_DRAWS = 100  # for each chain, solved once the chain is done


def draw_prior(problem: Problem, path: Path, key: Any, evaluate: Callable, count: int = PRIOR_DRAWS) -> None:
    """Draws from the prior and the prior predictive, and writes them; those whose solve failed are only counted.

    Args:
        problem: the model and its data.
        path: path of the file; nothing is done where it exists.
        key: random key of the draws.
        evaluate: `problem.evaluate`, compiled.
        count: number of draws.
    """
    if path.is_file():
        return
    draw = jax.jit(problem.prior_vector)
    rows: list[dict[str, np.ndarray]] = []
    failed = 0
    for one in jax.random.split(key, count):
        place, noise = jax.random.split(one)
        groups = evaluate(draw(place), noise)
        row = {
            f"{group}/{name}": np.asarray(groups[group][name])
            for group in ("sites", "derived", "predictive")
            for name in groups[group]
        }
        if all(np.all(np.isfinite(value)) for value in row.values()):
            rows.append(row)
        else:
            failed += 1
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}
    write_arrays(path, arrays | {"failed": np.asarray(failed)})
