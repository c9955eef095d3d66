"""Is a gradient right? Reverse mode against forward mode against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# A derivative whose parts cancel to less than this share of their root sum of squares is compared with that share:
# what is left of 3000 cells by chance, 5e-5 of it once on Aletsch, holds the round-off of all of them.
CANCELLED = 1e-2


class GradientCheck(eqx.Module):
    """Derivatives of one function along directions, three ways.

    Attributes:
        reverse: by `jax.grad`.
        forward: by `jax.jvp`.
        difference: the central difference, of the best of the steps.
        size: the root sum of squares of the parts that the elements of a direction have in `reverse`.
    """

    reverse: Float[np.ndarray, " direction"]
    forward: Float[np.ndarray, " direction"]
    difference: Float[np.ndarray, " direction"]
    size: Float[np.ndarray, " direction"]

    @property
    def modes_apart(self) -> float:
        """Largest relative difference of forward and reverse mode."""
        return float(np.max(self._apart(self.forward)))

    @property
    def from_differences(self) -> Float[np.ndarray, " direction"]:
        """Relative difference of reverse mode and the central differences."""
        return self._apart(self.difference)

    def _apart(self, other: np.ndarray) -> np.ndarray:
        floor = np.maximum(CANCELLED * self.size, np.finfo(float).tiny)
        return np.abs(other - self.reverse) / np.maximum(np.abs(self.reverse), floor)

    def __str__(self) -> str:
        """Three lines."""
        off = self.from_differences
        return (
            f"forward against reverse mode: {self.modes_apart:.1e} at most\n"
            f"reverse mode against central differences: median {np.median(off):.1e}, worst {np.max(off):.1e}\n"
            f"over {off.size} directions"
        )


def check_gradient(
    function: Callable[[PyTree], Any],
    at: PyTree,
    directions: int | Sequence[PyTree] = 20,
    seed: int = 0,
) -> GradientCheck:
    """Compares the derivatives of a scalar function, such as one number of a `History`.

    Args:
        function: takes a pytree of floating arrays, gives a scalar.
        at: where.
        directions: pytrees like `at`, or how many random ones. A random one changes an array by a normal deviate
            times its largest value in each of its elements (times 1 where all are 0).
        seed: of the random ones.

    Returns:
        The derivatives, one per direction. Steps of the differences are 1e-3 to 1e-7 times the direction.
    """
    at = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), at)
    if isinstance(directions, int):
        rng = np.random.default_rng(seed)
        directions = [jax.tree.map(lambda leaf: _random(leaf, rng), at) for _ in range(directions)]
    value, gradient = jax.jit(function), jax.jit(jax.grad(function))(at)
    push = jax.jit(lambda point, direction: jax.jvp(function, (point,), (direction,))[1])
    reverse, forward, difference, size = [], [], [], []
    for direction in directions:
        parts = np.concatenate(
            [np.ravel(part) for part in jax.tree.leaves(jax.tree.map(np.multiply, gradient, direction))]
        )
        reverse.append(float(parts.sum()))
        size.append(float(np.linalg.norm(parts)))
        forward.append(float(push(at, direction)))
        central = []
        for step in STEPS:
            ahead, behind = (value(jax.tree.map(lambda a, d, s=s: a + s * d, at, direction)) for s in (step, -step))
            central.append(float(ahead - behind) / (2 * step))
        difference.append(min(central, key=lambda found: abs(found - reverse[-1])))
    return GradientCheck(np.asarray(reverse), np.asarray(forward), np.asarray(difference), np.asarray(size))


def _random(leaf: Any, rng: np.random.Generator) -> Any:
    scale = float(jnp.max(jnp.abs(leaf)))
    return jnp.asarray(rng.normal(size=jnp.shape(leaf))) * (scale if scale > 0 else 1.0)
