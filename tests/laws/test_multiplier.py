"""Multipliers of laws: what they multiply, how a step follows them, and their derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glacierbayes as gb
from glacierbayes.laws import FlowLaw, Glen, LocalIce, Multiplier
from glacierbayes.laws.multiplier import linearized

from ..glaciers import rough, valley

GLEN = Glen(A=1e-23)


class Softening(Multiplier):
    """A law of two lines, as a user would write it."""

    strength: jax.Array

    def log(self, ice):
        return self.strength * jnp.tanh(ice.thickness / 100) / (0.1 + ice.slope_squared)


class Warm(Multiplier):
    rate: jax.Array
    needs = ("temperature",)

    def log(self, ice):
        return self.rate * ice["temperature"]


class Network(Multiplier):
    """With a leaf that is no array: the activation function."""

    network: eqx.nn.MLP

    def log(self, ice):
        inputs = jnp.stack([ice.thickness / 100, ice.slope_squared], -1)
        return 2.0 * jax.vmap(self.network)(inputs)


class EveryStage(FlowLaw):
    """The same law and multiplier, evaluated wherever the flux is."""

    law: FlowLaw
    multiplier: Multiplier

    def mobility(self, ice):
        return tuple(jnp.exp(self.multiplier.log(ice)) * part for part in self.law.mobility(ice))


def network(seed: int = 0) -> Network:
    key = jax.random.PRNGKey(seed)
    return Network(eqx.nn.MLP(2, "scalar", 8, 2, activation=jnp.tanh, key=key, dtype=float))


def some_ice(points: int = 700) -> LocalIce:
    rng = np.random.default_rng(0)
    thickness = np.where(rng.random(points) < 0.3, rng.uniform(1, 300, points), 0.0)
    return LocalIce(jnp.asarray(thickness), jnp.asarray(rng.uniform(0.001, 0.5, points)))


def test_a_multiplier_multiplies_flux_and_surface_velocity():
    ice = some_ice()
    multiplier = Softening(jnp.asarray(0.1))
    for scaled, plain in zip((GLEN * multiplier).mobility(ice), GLEN.mobility(ice), strict=True):
        assert np.allclose(scaled, np.exp(multiplier.log(ice)) * plain, rtol=1e-14)


def test_near_the_start_of_a_step_the_error_is_of_second_order():
    ice = some_ice()
    there = np.asarray(ice.thickness) > 0
    multiplier = Softening(jnp.asarray(0.1))
    tangent = linearized(GLEN, multiplier, ice, ice.thickness > 0, reverse_mode=False)

    def error(change: float) -> float:
        moved = LocalIce(ice.thickness * (1 + change), ice.slope_squared * (1 - change))
        exact = (GLEN * multiplier).mobility(moved)[0]
        return float(np.max(np.abs(tangent.mobility(moved)[0] / exact - 1)[there]))

    assert error(0.0) < 1e-14
    assert 3.5 < error(0.02) / error(0.01) < 4.5


def test_where_there_is_no_ice_nothing_is_evaluated():
    ice = some_ice()
    tangent = linearized(GLEN, Softening(jnp.asarray(0.1)), ice, ice.thickness > 0, reverse_mode=False)
    bare = np.asarray(ice.thickness) == 0
    assert np.all(np.asarray(tangent.value)[bare] == 1) and np.all(np.asarray(tangent.by_thickness)[bare] == 0)
    none = jnp.zeros(ice.thickness.shape, bool)
    nowhere = linearized(GLEN, Softening(jnp.asarray(0.1)), ice, none, reverse_mode=False)
    assert np.all(np.asarray(nowhere.value) == 1)


@pytest.mark.parametrize("multiplier", [Softening(jnp.asarray(0.1)), network()], ids=["function", "network"])
@pytest.mark.run
def test_a_run_follows_the_multiplier(multiplier):
    """As far as its steps go: the tangent's error falls with the tolerance like that of the steps."""
    glacier = rough(1)
    reference = gb.simulate(glacier, EveryStage(GLEN, multiplier), None, (0.0, 10.0), tolerance=1e-4).thickness[-1]
    unlike = gb.simulate(glacier, GLEN, None, (0.0, 10.0)).thickness[-1]

    def error(thickness) -> float:
        return float(jnp.sqrt(jnp.mean((thickness - reference) ** 2)))

    errors = [
        error(gb.simulate(glacier, GLEN * multiplier, None, (0.0, 10.0), tolerance=tolerance).thickness[-1])
        for tolerance in (0.3, 0.003)
    ]
    assert errors[0] < 0.1 * error(unlike)
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.run
def test_gradients_by_the_weights():
    glacier, multiplier = valley(), network()

    def volume_squared(arrays, scale):
        law = GLEN * eqx.combine(arrays, rest)
        return jnp.sum(gb.simulate(glacier.scaled(scale), law, None, (0.0, 5.0)).thickness[-1] ** 2)

    arrays, rest = eqx.partition(multiplier, eqx.is_inexact_array)
    at = (arrays, jnp.asarray(1.1))
    gradient = jax.jit(jax.grad(volume_squared, (0, 1)))(*at)
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), at)
    forward = jax.jvp(volume_squared, at, direction)[1]
    reverse = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
    assert float(reverse) == pytest.approx(float(forward), rel=1e-9)

    run = jax.jit(lambda size: volume_squared(*jax.tree.map(lambda a, d: a + size * d, at, direction)))
    differences = [float((run(size) - run(-size)) / (2 * size)) for size in (1e-4, 1e-5, 1e-6)]
    assert min(abs(found / float(forward) - 1) for found in differences) < 1e-5


@pytest.mark.run
def test_a_multiplier_gets_the_fields_it_needs():
    base = rough(1)
    temperature = np.linspace(-3, 0, base.bed.size).reshape(base.bed.shape)
    glacier = gb.Glacier(base.bed, base.thickness, base.x, base.y, fields={"temperature": temperature})
    warm = gb.simulate(glacier, GLEN * Warm(jnp.asarray(0.3)), None, (0.0, 3.0))
    # where it is the same everywhere, it is the creep parameter's
    level = gb.Glacier(base.bed, base.thickness, base.x, base.y, fields={"temperature": -2.0})
    as_multiplier = gb.simulate(level, GLEN * Warm(jnp.asarray(0.3)), None, (0.0, 3.0))
    as_creep = gb.simulate(level, Glen(A=1e-23 * np.exp(-0.6)), None, (0.0, 3.0))
    assert np.allclose(as_multiplier.thickness, as_creep.thickness, rtol=1e-10, atol=1e-10)
    for one, other in zip(as_multiplier.surface_velocity(3.0), as_creep.surface_velocity(3.0), strict=True):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-10)
    speeds = [
        np.hypot(*history.surface_velocity(0.0)) for history in (warm, gb.simulate(level, GLEN, None, (0.0, 3.0)))
    ]
    moving = speeds[1] > 0
    assert np.allclose(speeds[0][moving] / speeds[1][moving], np.exp(0.3 * temperature)[moving], rtol=1e-10)


def test_a_missing_field_is_named():
    with pytest.raises(gb.InputError, match="Warm needs the field 'temperature'"):
        gb.simulate(rough(1), GLEN * Warm(jnp.asarray(0.3)), None, (0.0, 3.0))


def test_a_field_of_another_shape_is_named():
    base = rough(1)
    with pytest.raises(gb.InputError, match=r"fields\['temperature'\] has shape \(3,\)"):
        gb.Glacier(base.bed, base.thickness, base.x, base.y, fields={"temperature": [1.0, 2.0, 3.0]})
