"""A function with two derivatives: which mode takes which, and under which transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.solvers.dual_mode import dual_mode

from ..dual_functions import forward, honest, reverse

SHAPES = ((3,), ())
A, B = jnp.array(0.7), jnp.array([1.0, -2.0, 0.5])
MARKED, BOTH = dual_mode(forward, reverse, SHAPES), dual_mode(forward, honest, SHAPES)


def scalar(function):
    return lambda a, b: jnp.sum(function(a, b)[0]) + function(a, b)[1] ** 2


def test_values():
    for ours, theirs in zip(BOTH(A, B), forward(A, B), strict=True):
        assert np.array_equal(ours, theirs)


def test_forward_mode_is_the_first_and_reverse_mode_the_second():
    expected = jax.grad(lambda a: jnp.sum(forward(a, B)[0]))(A)
    _, pushed = jax.jvp(lambda a: jnp.sum(MARKED(a, B)[0]), (A,), (jnp.ones(()),))
    assert float(pushed) == pytest.approx(float(expected))
    assert float(jax.grad(lambda a: jnp.sum(MARKED(a, B)[0]))(A)) == pytest.approx(3 * float(expected))


@pytest.mark.parametrize("through", [lambda f: f, jax.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("argument", [0, 1, (0, 1)])
def test_grad(through, argument):
    ours = through(jax.grad(scalar(BOTH), argument))(A, B)
    theirs = jax.grad(scalar(forward), argument)(A, B)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.allclose(a, b, rtol=1e-13)


def test_jvp_of_some_inputs():
    ours = jax.jit(lambda b, d: jax.jvp(lambda b: scalar(BOTH)(A, b), (b,), (d,)))(B, 2 * B)
    theirs = jax.jvp(lambda b: scalar(forward)(A, b), (B,), (2 * B,))
    assert np.allclose(ours, theirs, rtol=1e-13)


def test_jacobians():
    ours, theirs = jax.jacfwd(BOTH, 1)(A, B), jax.jacrev(forward, 1)(A, B)
    back = jax.jacrev(lambda b: BOTH(A, b)[0])(B)
    assert all(np.allclose(a, b, rtol=1e-13) for a, b in zip(ours, theirs, strict=True))
    assert np.allclose(back, theirs[0], rtol=1e-13)


def test_vmap_of_values_and_derivatives():
    many = jnp.linspace(0.1, 2.0, 5)
    for transform in (lambda f: f, lambda f: jax.grad(f), lambda f: jax.jacfwd(f)):
        ours = jax.jit(jax.vmap(transform(scalar(BOTH)), (0, None)))(many, B)
        assert np.allclose(ours, [transform(scalar(forward))(a, B) for a in many], rtol=1e-13)


def test_the_derivative_of_a_batch():
    many = jnp.linspace(0.1, 2.0, 5)

    def total(function):
        return lambda a, b: jnp.sum(jax.vmap(scalar(function), (0, None))(a, b) ** 2)

    ours = jax.grad(total(BOTH), (0, 1))(many, B)
    for a, b in zip(ours, jax.grad(total(forward), (0, 1))(many, B), strict=True):
        assert np.allclose(a, b, rtol=1e-12)
    _, pushed = jax.jvp(lambda b: total(BOTH)(many, b), (B,), (B,))
    assert float(pushed) == pytest.approx(float(jnp.vdot(ours[1], B)), rel=1e-12)


def test_an_output_that_is_not_used():
    assert np.allclose(jax.grad(lambda b: BOTH(A, b)[1])(B), 2 * B, rtol=1e-14)
