"""`value_and_gradient`: the right numbers, in the cheaper mode."""

import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.solvers.dual_mode import dual_mode
from glacierbayes.solvers.gradient import MAX_FORWARD_PARAMETERS, value_and_gradient

from ..dual_functions import forward, reverse


@pytest.mark.parametrize(("size", "factor"), [(1, 1.0), (MAX_FORWARD_PARAMETERS, 3.0)])
def test_mode(size, factor):
    at = {"a": jnp.array(0.7), "b": jnp.linspace(1.0, 2.0, size)}
    marked = dual_mode(forward, reverse, [(size,), ()])  # its reverse mode gives three times the gradient
    value, gradient = value_and_gradient(lambda p: jnp.sum(marked(p["a"], p["b"])[0]))(at)
    assert float(value) == pytest.approx(float(jnp.sin(0.7) * jnp.sum(at["b"])))
    assert float(gradient["a"]) == pytest.approx(factor * float(jnp.cos(0.7) * jnp.sum(at["b"])))
    assert np.allclose(gradient["b"], factor * jnp.sin(0.7))
