"""Creep as a function of temperature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glacierbayes as gb
from glacierbayes.functions import GaussianProcess, UnknownFunction
from glacierbayes.laws import Glen, TemperatureCreep, arrhenius, cuffey_paterson

from ..glaciers import valley


@pytest.mark.parametrize(("temperature", "creep"), [(0.0, 2.4e-24), (-10.0, 3.5e-25), (-30.0, 3.7e-26), (5.0, 2.4e-24)])
def test_the_table(temperature, creep):
    assert float(cuffey_paterson(jnp.array(temperature))) == pytest.approx(creep, rel=1e-12)


def test_arrhenius_is_the_table_within_its_scatter():
    temperature = jnp.linspace(-30.0, -2.0, 50)
    assert np.all(np.abs(np.log(arrhenius(temperature) / cuffey_paterson(temperature))) < np.log(1.4))


@pytest.mark.run
def test_a_glacier_of_one_temperature_has_one_creep_parameter():
    glacier = valley(fields={"temperature": -7.0})
    one = gb.simulate(glacier, TemperatureCreep(lambda t: 0.1 * t, cuffey_paterson), None, (0.0, 3.0))
    creep = float(cuffey_paterson(jnp.array(-7.0))) * np.exp(-0.7)
    other = gb.simulate(glacier, Glen(creep), None, (0.0, 3.0))
    assert np.allclose(one.thickness, other.thickness, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(one.surface_velocity(3.0), other.surface_velocity(3.0), strict=True):
        assert np.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.run
def test_warm_ice_is_faster_where_it_is_warm():
    bed = valley().bed
    temperature = jnp.linspace(-10.0, 0.0, bed.shape[0])[:, None] * jnp.ones(bed.shape)
    glacier = valley(fields={"temperature": temperature})
    fields = gb.simulate(glacier, TemperatureCreep(lambda t: 0.0 * t, cuffey_paterson), None, (0.0, 1.0))
    plain = gb.simulate(glacier, Glen(1e-24), None, (0.0, 1.0))
    speed, other = (np.hypot(*history.surface_velocity(0.0)) for history in (fields, plain))
    moving = other > 0
    ratio = np.asarray(cuffey_paterson(temperature) / 1e-24)
    assert np.allclose(speed[moving] / other[moving], ratio[moving], rtol=1e-10)


@pytest.mark.run
def test_the_gradient_by_the_weights_of_a_function_of_temperature():
    family = GaussianProcess((-12.0, 0.0), 0.5, 4.0)
    glacier = valley(fields={"temperature": jnp.linspace(-10.0, -1.0, 18) * jnp.ones((30, 1))})
    rng = np.random.default_rng(0)
    at, direction = (jnp.asarray(rng.normal(size=family.size)) for _ in range(2))

    def speed(weights):
        law = TemperatureCreep(UnknownFunction(family, weights))
        vx, vy = gb.simulate(glacier, law, None, (0.0, 2.0)).surface_velocity(2.0)
        return jnp.sum(vx**2 + vy**2)

    forward = float(jax.jvp(speed, (at,), (direction,))[1])
    assert float(jnp.vdot(jax.jit(jax.grad(speed))(at), direction)) == pytest.approx(forward, rel=1e-10)
    run = jax.jit(lambda size: speed(at + size * direction))
    differences = [float((run(size) - run(-size)) / (2 * size)) for size in (1e-3, 1e-4, 1e-5)]
    assert min(abs(found / forward - 1) for found in differences) < 1e-5
