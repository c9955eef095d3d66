"""The gradient of a function of a run, in the mode that is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

# Forward mode adds one to two runs a parameter to the one it makes for all, reverse mode four to six for any number.
FEW = 3


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
