"""Laws of a model file or a notebook, in a process that cannot import them."""

import pickle
import subprocess
import sys

import arviz as az
import jax.numpy as jnp
import numpy as np
import pytest

import glacierbayes as gb
from glacierbayes.inference.models import find_model
from glacierbayes.inference.processes import pickling

pytestmark = pytest.mark.run

LAWS = '''
import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

import glacierbayes as gb
from glacierbayes import priors


class Hardened(gb.laws.Multiplier):
    """An attribute, one with a default, one that JAX does not trace, a converter."""

    depth: jnp.ndarray
    power: float = 1.0
    name: str = eqx.field(static=True, default="hard")
    tags: tuple = eqx.field(static=True, converter=tuple, default_factory=list)

    def log(self, ice):
        return -((ice.thickness / self.depth) ** self.power)


class Plug(gb.laws.FlowLaw):
    """An `__init__` of its own."""

    C: jnp.ndarray

    def __init__(self, per_year):
        self.C = jnp.asarray(per_year / 3e7)

    def mobility(self, ice):
        return self.C * ice.thickness**2, self.C * ice.thickness


class HalfPlug(Plug):
    """An inherited one, and `super`."""

    def mobility(self, ice):
        both = super().mobility(ice)
        return 0.5 * both[0], 0.5 * both[1]


def made(x):
    law = (gb.laws.Glen(A=2e-24 * x) + HalfPlug(x)) * Hardened(300.0 * x, tags=["a", "b"])
    law, hard = jax.tree.map(lambda leaf: 1.0 * leaf, (law, Hardened(x, power=2.0)))  # as JAX takes them apart
    assert hard.name == "hard" and hard.tags == () and law.multiplier.tags == ("a", "b")
    assert isinstance(law.law.laws[1], Plug)
    return law


def diffusivity(x):
    return made(x).mobility(gb.laws.LocalIce(jnp.array([100.0, 200.0]), jnp.array([0.01, 0.02])))[0]


def model(glacier, observations=None):
    log_speed = priors.sample("log_creep", dist.Normal(0.0, 1.0), "1", "log of the creep parameter over 2e-24")
    law = gb.laws.Glen(A=2e-24 * jnp.exp(log_speed)) * Hardened(1e6 * jnp.exp(log_speed))
    ice = gb.laws.LocalIce(jnp.array([100.0]), jnp.array([0.01]))
    expected, measured = (jnp.log(one.mobility(ice)[1]) for one in (law, gb.laws.Glen(A=2e-24)))
    numpyro.sample("log_mobility", dist.Normal(expected, 0.1), obs=measured)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(LAWS)
    return path


def test_laws_of_every_make_work_in_another_process(file, tmp_path):
    import cloudpickle

    find_model(file)
    module = sys.modules["glacierbayes_model_mine"]
    cloudpickle.register_pickle_by_value(module)
    (tmp_path / "pickled").write_bytes(pickling.dumps((module.diffusivity, module.Hardened(jnp.asarray(1.0)))))
    code = (
        "import pickle, sys, glacierbayes, jax\n"
        "diffusivity, hard = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert 'glacierbayes_model_mine' not in sys.modules and len(jax.tree.leaves(hard)) == 2\n"
        "print(*map(float, (*diffusivity(1.5), *jax.jacfwd(diffusivity)(1.5))))"
    )
    command = [sys.executable, "-c", code, tmp_path / "pickled"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    depth, slope_squared = np.array([100.0, 200.0]), np.array([0.01, 0.02])
    glen = 2 * 2e-24 * (900.0 * 9.81) ** 3 / 5 * depth**5 * slope_squared
    expected = 1.5 * (glen + 0.5 / 3e7 * depth**2) * np.exp(-depth / 450.0)
    change = expected / 1.5 * (1 + depth / 450.0)
    np.testing.assert_allclose(np.array(said.split(), float), [*expected, *change], rtol=1e-12)


def test_a_model_file_with_a_law_of_its_own_is_sampled(file, tmp_path):
    settings = {"chains": 1, "warmup": 60, "draws": 200, "seed": 2}
    draws = gb.infer(str(file), None, None, output=tmp_path / "mine.nc", **settings)
    # the multiplier is 1 to 1e-4: the creep that the value was made with
    creep = draws["posterior"]["log_creep"].values
    assert abs(creep.mean()) < 4 * creep.std() and float(az.ess(creep)) > 20
    assert pickle.loads(pickling.dumps(gb.laws.Glen)) is gb.laws.Glen  # what can be imported goes by name
