"""One function in versions whose derivatives tell which of them was differentiated."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def _triple(x):
    return x


_triple.defvjp(lambda x: (x, None), lambda _, cotangent: (3.0 * cotangent,))


def forward(a, b):
    return [jnp.sin(a) * b, jnp.sum(b**2)]


def reverse(a, b):
    """The same values; its derivative is three times as large, so that it can be told apart."""
    return forward(_triple(a), _triple(b))


def honest(a, b):
    """The same values and derivatives, closed to forward mode."""
    same = jax.custom_vjp(lambda x: x)
    same.defvjp(lambda x: (x, None), lambda _, cotangent: (cotangent,))
    return forward(same(a), same(b))
