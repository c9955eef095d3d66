"""Derivatives through a whole run: reverse mode against forward mode against differences."""

from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glacierbayes.laws import Glen, WeertmanSliding
from glacierbayes.physics.mass_balance import TemperatureIndex
from glacierbayes.solvers.simulate import simulate

from ..glaciers import valley

pytestmark = pytest.mark.run

GLACIER = valley()
SHAPE = GLACIER.bed.shape
RNG = np.random.default_rng(5)
WEIGHTS = jnp.asarray(RNG.normal(size=SHAPE))
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


def history_at(point):
    thicker = GLACIER.scaled(jnp.exp(point["log_scale"]))
    glacier = eqx.tree_at(
        lambda g: (g.bed, g.thickness), thicker, (thicker.bed + point["bed"], thicker.thickness + point["thickness"])
    )
    law = Glen(2.4e-24 * jnp.exp(point["log_A"])) + WeertmanSliding(1e-20 * jnp.exp(point["log_C"]))
    balance = TemperatureIndex(GLACIER.climate, 5.0 * jnp.exp(point["log_melt_factor"]), 2.0, point["bias"])
    return simulate(glacier, law, balance, (2000.0, 2003.0), save_at=(2001.5,))


def objective(point):
    """Of everything that a likelihood looks at."""
    history = history_at(point)
    vx, vy = history.surface_velocity(2001.5)
    return (
        jnp.mean(WEIGHTS * history.thickness[-1])
        + 1e-2 * jnp.mean(vx**2 + WEIGHTS * vy)
        + history.mass_change()
        + 1e-7 * (history.supplied + history.outflow)
    )


SCALARS = ("log_A", "log_C", "log_melt_factor", "log_scale", "bias")


def point_at(**values):
    fields = {name: jnp.zeros(SHAPE) for name in ("bed", "thickness")}
    return fields | {name: jnp.asarray(values.get(name, 0.0), jnp.float64) for name in SCALARS}


POINTS = (
    point_at(),
    point_at(log_A=1.5, log_C=-1.0, log_scale=0.1, bias=-0.5),
    point_at(log_A=-2.0, log_C=1.2, log_melt_factor=0.4, log_scale=-0.2),
)
FAILS = point_at(log_A=40.0)


def directions():
    for name in SCALARS:
        yield name, point_at(**{name: 1.0})
    ice = np.asarray(GLACIER.thickness) > 0
    y, x = np.indices(SHAPE)
    smooth = np.cos(2 * np.pi * x / 17) * np.sin(2 * np.pi * y / 29)
    yield "smooth bed", point_at() | {"bed": jnp.asarray(5.0 * smooth)}
    yield "rough bed", point_at() | {"bed": jnp.asarray(RNG.normal(size=SHAPE))}
    yield "rough thickness", point_at() | {"thickness": jnp.asarray(ice * RNG.normal(size=SHAPE))}


DIRECTIONS = dict(directions())


class Compiled:
    """Each transformation compiled once for all tests of this file."""

    @cached_property
    def value(self):
        return jax.jit(objective)

    @cached_property
    def grad(self):
        return jax.jit(jax.grad(objective))

    @cached_property
    def jvp(self):
        return jax.jit(lambda point, tangent: jax.jvp(objective, (point,), (tangent,))[1])


@pytest.fixture(scope="module")
def compiled():
    return Compiled()


def along(gradient, direction) -> float:
    return float(sum(jnp.vdot(gradient[name], direction[name]) for name in gradient))


def moved(point, direction, step):
    return jax.tree.map(lambda a, b: a + step * b, point, direction)


def test_reverse_mode_is_forward_mode_is_differences(compiled):
    differences = []
    for point in POINTS:
        gradient = compiled.grad(point)
        for name, direction in DIRECTIONS.items():
            reverse, forward = along(gradient, direction), float(compiled.jvp(point, direction))
            assert forward == pytest.approx(reverse, rel=1e-9), name
            central = [
                (compiled.value(moved(point, direction, h)) - compiled.value(moved(point, direction, -h))) / (2 * h)
                for h in STEPS
            ]
            differences.append(min(abs(float(d) / reverse - 1) for d in central))
    assert np.median(differences) <= 1e-6
    assert max(differences) <= 1e-4


@pytest.mark.slow
def test_a_batch_of_gradients_of_which_one_fails(compiled):
    points = (*POINTS, FAILS)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *points)
    together = jax.jit(jax.vmap(jax.grad(objective)))(batch)
    for i, point in enumerate(POINTS):
        for name, alone in compiled.grad(point).items():
            scale = float(jnp.max(jnp.abs(alone)))
            assert np.allclose(together[name][i], alone, rtol=1e-8, atol=1e-9 * scale), name
    assert np.isnan(together["log_A"][-1])


def test_a_batch_of_runs():
    def last(creep, thickness):
        glacier = eqx.tree_at(lambda g: g.thickness, GLACIER, thickness)
        return simulate(glacier, Glen(creep), None, (2000.0, 2002.0)).thickness[-1]

    creeps = jnp.array([0.3e-24, 2.4e-24, 20e-24])
    fields = GLACIER.thickness * jnp.array([0.8, 1.0, 1.1])[:, None, None]
    alone = jax.jit(last)
    over_creep = jax.jit(jax.vmap(last, (0, None)))(creeps, GLACIER.thickness)
    over_both = jax.jit(jax.vmap(last))(creeps, fields)
    for i in range(3):
        assert np.allclose(over_creep[i], alone(creeps[i], GLACIER.thickness), rtol=0, atol=1e-9)
        assert np.allclose(over_both[i], alone(creeps[i], fields[i]), rtol=0, atol=1e-9)


def test_a_failed_run_has_a_gradient_that_is_not_a_number_and_raises_nothing(compiled):
    assert np.isnan(compiled.value(FAILS))
    assert np.isnan(compiled.grad(FAILS)["log_A"])
