"""Verification of a gradient: reverse mode, forward mode and central differences are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

DIFFERENCE_STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# The sum over the elements of a direction may cancel by chance: on Aletsch it was once 5e-5 of the root sum of squares,
# with the round-off of all 3000 cells. Where it is below this share of that, differences are relative to the share.
CANCELLATION_FLOOR = 1e-2


class GradientCheck(eqx.Module):
    """Derivatives of one function along several directions, computed in three ways.

    Attributes:
        reverse: derivatives by `jax.grad`, one for each direction.
        forward: derivatives by `jax.jvp`.
        difference: central differences with the step that agrees best.
        size: root sum of squares of the contributions of all elements of a direction to `reverse`.
    """

    reverse: Float[np.ndarray, " direction"]
    forward: Float[np.ndarray, " direction"]
    difference: Float[np.ndarray, " direction"]
    size: Float[np.ndarray, " direction"]

    @property
    def modes_apart(self) -> float:
        """The largest relative difference of forward and reverse mode over all directions."""
        return float(np.max(self._relative_to_reverse(self.forward)))

    @property
    def from_differences(self) -> Float[np.ndarray, " direction"]:
        """The relative difference of reverse mode and central differences, for each direction."""
        return self._relative_to_reverse(self.difference)

    def _relative_to_reverse(self, other: np.ndarray) -> np.ndarray:
        floor = np.maximum(CANCELLATION_FLOOR * self.size, np.finfo(float).tiny)
        return np.abs(other - self.reverse) / np.maximum(np.abs(self.reverse), floor)

    def __str__(self) -> str:
        """A summary in three lines."""
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
    """Compares the derivatives of a scalar function, such as one number of a `History`, in three ways.

    Args:
        function: takes a pytree of floating arrays and gives a scalar.
        at: where the derivatives are taken.
        directions: pytrees like `at`, or the number of random ones. A random direction changes each element of an array
            by a normal deviate times the largest value of the array (times 1 where all are 0).
        seed: seed of the random directions.

    Returns:
        The derivatives along each direction. The steps of the differences are 1e-3 to 1e-7 times the direction.
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
        for step in DIFFERENCE_STEPS:
            ahead, behind = (value(jax.tree.map(lambda a, d, s=s: a + s * d, at, direction)) for s in (step, -step))
            central.append(float(ahead - behind) / (2 * step))
        difference.append(min(central, key=lambda quotient: abs(quotient - reverse[-1])))
    return GradientCheck(np.asarray(reverse), np.asarray(forward), np.asarray(difference), np.asarray(size))


def _random(leaf: Any, rng: np.random.Generator) -> Any:
    scale = float(jnp.max(jnp.abs(leaf)))
    return jnp.asarray(rng.normal(size=jnp.shape(leaf))) * (scale if scale > 0 else 1.0)
