"""The gradient of a function of a run, in the mode that is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

# Of Aletsch at 400 m, in runs: forward mode 2.9 for one parameter, 3.9 for two, 5.7 for three, reverse mode 4 to 6 for
# any number.
FEW = 2


def value_and_gradient(function: Callable[[PyTree], Any]) -> Callable[[PyTree], tuple[Any, PyTree]]:
    """Like `jax.value_and_grad`, by forward mode where there are few parameters.

    Args:
        function: takes a pytree of floating arrays, gives a scalar, such as one number of a `History`.

    Returns:
        A function that gives the value and the gradient, a pytree like its argument; `jax.jit` goes round it.
    """

    def of(at: PyTree) -> tuple[Any, PyTree]:
        point, unravel = ravel_pytree(at)
        if point.size > FEW:
            return jax.value_and_grad(function)(at)

        def along(direction: Any) -> tuple[Any, Any]:
            return jax.jvp(lambda p: function(unravel(p)), (point,), (direction,))

        value, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(point.size))
        return value, unravel(slopes)

    return of
