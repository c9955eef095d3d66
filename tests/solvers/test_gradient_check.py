"""`check_gradient`: it passes what is right, and notices what is wrong."""

import jax
import jax.numpy as jnp
import numpy as np

from glacierbayes.solvers.gradient_check import check_gradient

AT = {"a": 1.5, "b": np.array([0.3, -0.7, 2.0])}


def smooth(point):
    return jnp.exp(point["a"]) * jnp.sum(jnp.sin(point["b"]) ** 3)


def test_a_right_gradient_passes():
    found = check_gradient(smooth, AT, 5)
    assert found.reverse.shape == (5,)
    assert found.modes_apart < 1e-13
    assert np.max(found.from_differences) < 1e-7
    assert "5 directions" in str(found)


def test_a_wrong_gradient_shows():
    @jax.custom_jvp
    def wrong(x):
        return x**2

    wrong.defjvp(lambda primals, tangents: (wrong(primals[0]), 2.002 * primals[0] * tangents[0]))
    found = check_gradient(lambda point: wrong(point["a"]), AT, [{"a": 1.0, "b": np.zeros(3)}])
    assert found.modes_apart < 1e-13
    assert 0.9e-3 < found.from_differences[0] < 1.1e-3


def test_random_directions_follow_the_seed():
    one, same, other = (check_gradient(smooth, AT, 3, seed=seed).reverse for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_direction_whose_parts_cancel_is_not_judged_by_what_is_left():
    def long(point):
        return 1e6 * jnp.sum(jnp.sin(point) ** 2 * jnp.arange(1.0, 4.0))

    at = np.array([0.4, 1.1, -0.6])
    parts = np.array(jax.grad(long)(at))
    along = np.array([1 / parts[0], 1 / parts[1], -2 / parts[2] * (1 - 1e-13)])
    found = check_gradient(long, at, [along])
    assert abs(found.reverse[0]) < 1e-12 < found.size[0]
    assert found.modes_apart < 1e-12
    assert found.from_differences[0] < 1e-4
