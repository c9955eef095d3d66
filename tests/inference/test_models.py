"""Model files: found, read, refused."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import biject_to

import glacierbayes as gb
from glacierbayes import priors
from glacierbayes.constants import SECONDS_PER_YEAR as YEAR
from glacierbayes.errors import InputError
from glacierbayes.inference.models import find_model, model_names
from glacierbayes.inference.problem import Problem
from tests.small_glacier import glacier, observations, standing

from ..glaciers import valley

pytestmark = pytest.mark.run


def test_the_model_of_the_readme_has_a_density_and_a_gradient(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = [part for part in readme.split("```python\n") if "class Regularised" in part and "def model" in part]
    (tmp_path / "my_model.py").write_text(code.split("```")[0])
    bare = valley()
    debris = np.linspace(0.0, 1.0, bare.bed.shape[0])[:, None] * np.ones(bare.bed.shape)
    ice = gb.Glacier(bare.bed, bare.thickness, bare.x, bare.y, mask=bare.mask, fields={"debris": debris})
    history = gb.simulate(ice, gb.laws.Glen(1e-24), None, (2000.0, 2020.0), (2018.0,))
    velocity = gb.Velocity.from_grid(*history.surface_velocity(2018.0), ice, 2018.0, sigma=5.0, block_size=400.0)
    seen = gb.Observations(velocity=velocity, geodetic=gb.GeodeticBalance(-0.8, 0.2, 2000.0, 2020.0))
    problem = Problem(find_model(tmp_path / "my_model.py"), ice, seen, {})
    assert {"C", "tau0", "softness_weights", "thickness_scale"} <= set(problem.names)
    at, step = problem.prior_vector(jax.random.key(1)), 1e-5
    along = jnp.ones(problem.dimension)
    compiled = jax.jit(jax.value_and_grad(problem.potential))
    potential, gradient = compiled(at)
    there = [float(compiled(at + h * along)[0]) for h in (step, -step)]
    assert np.isfinite(float(potential))
    assert float(gradient @ along) == pytest.approx((there[0] - there[1]) / (2 * step), rel=1e-4)


def test_every_prior_of_the_shipped_models_has_a_density_wherever_the_sampler_may_go(monkeypatch):
    """Out to ten standard normal deviations of the unconstrained coordinates, and beyond."""
    ice = glacier()
    monkeypatch.setattr("glacierbayes.priors.run.simulate", standing)
    for name in ("creep_and_sliding", "sliding_law"):
        model = find_model(name)
        trace = numpyro.handlers.trace(numpyro.handlers.seed(model, 0)).get_trace(
            ice, observations(ice), balance="LinearGradient"
        )
        for site in trace.values():
            if site["type"] == "sample" and not site["is_observed"]:
                to = biject_to(site["fn"].support)
                z = to.inv(site["value"])
                for far in (-10.0, -1.0, 1.0, 10.0):
                    value = to(z + far)
                    density = site["fn"].log_prob(value) + to.log_abs_det_jacobian(z + far, value).sum()
                    assert np.all(np.isfinite(density)), site["name"]


def drawn(name, ice, family, seed, monkeypatch):
    """The law that a model makes of a draw of its prior, and the values of its sites."""

    class Caught(Exception):
        pass

    def catch(glacier, law, *_, **__):
        raise Caught(law)

    monkeypatch.setattr("glacierbayes.priors.run.simulate", catch)
    seeded = numpyro.handlers.seed(find_model(name), seed)
    with numpyro.handlers.trace() as sites, pytest.raises(Caught) as caught:
        seeded(ice, None, family=family, balance="LinearGradient")
    (law,) = caught.value.args
    return law, {site: at["value"] for site, at in sites.items()}


def speed_at_the_reference(law, ice, coupling, scale):
    """Surface speed, m per year."""
    thickness, slope = priors.reference_geometry(ice, by_volume=True, coupling=coupling)
    place = gb.laws.LocalIce(jnp.asarray([thickness * scale]), jnp.asarray([slope**2]), {})
    return float(law.mobility(place)[1][0]) * slope * YEAR


@pytest.mark.parametrize("family", list(priors.FAMILIES))
def test_whatever_the_function_speed_and_share_of_sliding_at_the_reference_are_those_sampled(family, monkeypatch):
    """The function is 1 there: what the data say of speed and share does not go up and down with it."""
    ice = glacier()
    for seed in range(3):
        law, value = drawn("sliding_law", ice, family, seed, monkeypatch)
        creep, sliding = (speed_at_the_reference(one, ice, 2.0, value["thickness_scale"]) for one in law.law.laws)
        assert creep + sliding == pytest.approx(float(value["reference_speed"]), rel=1e-9)
        assert sliding / (creep + sliding) == pytest.approx(float(value["sliding_fraction"]), rel=1e-9)
        assert np.ptp(value["sliding_departure"]) > 0.1


@pytest.mark.parametrize("family", list(priors.FAMILIES))
def test_whatever_the_correction_speed_at_the_reference_is_that_sampled(family, monkeypatch):
    ice = glacier()
    for seed in range(3):
        law, value = drawn("diffusivity_correction", ice, family, seed, monkeypatch)
        speed = speed_at_the_reference(law, ice, None, value["thickness_scale"])
        assert speed == pytest.approx(float(value["reference_speed"]), rel=1e-9)
        assert np.ptp(value["flow_departure"]) > 0.1


@pytest.mark.parametrize("family", list(priors.FAMILIES))
def test_an_exponent_that_is_off_by_one_is_an_ordinary_correction(family):
    """It makes the log of the factor rise by 1 / H a metre, and by 1 / s along the slope.

    Mean squares of 500 draws: 6 % off at one deviation.
    """
    at = find_model("diffusivity_correction").__globals__
    ice = glacier()
    inputs = priors.thickness_and_slope_inputs(ice, share=at["LENGTH"])
    of = priors.FAMILIES[family](
        tuple((i.low, i.high) for i in inputs), at["DEPARTURE"], tuple(i.length for i in inputs)
    )
    place = jnp.asarray(priors.reference_geometry(ice, by_volume=True))

    def rise(weights):
        return jax.grad(lambda one: gb.functions.UnknownFunction(of, weights)(*one[:, None])[0])(place) * place

    deviation = jnp.sqrt(jnp.mean(jax.vmap(rise)(jax.random.normal(jax.random.key(0), (500, of.size))) ** 2, 0))
    assert np.all((deviation > 0.5) & (deviation < 2.0))


def test_the_correction_of_the_diffusivity_leaves_a_share_of_the_speed_to_the_thickness(monkeypatch):
    """In fast blocks the likelihood is wider than what slow ice can have."""
    monkeypatch.setattr("glacierbayes.priors.run.simulate", standing)
    ice = glacier()
    seeded = numpyro.handlers.seed(find_model("diffusivity_correction"), 0)
    sites = numpyro.handlers.trace(seeded).get_trace(ice, observations(ice), balance="LinearGradient")
    value = {name: site["value"] for name, site in sites.items()}
    variance = jnp.sum(sites["velocity"]["fn"].root ** 2, -1)[0]  # diagonal of root root', of vx
    speed = jnp.linalg.norm(value["modelled_velocity"], axis=-1)
    expected = value["velocity_discrepancy"] ** 2 + (value["velocity_relative_discrepancy"] * speed) ** 2
    assert np.allclose(variance - observations(ice).velocity.sigma[:, 0] ** 2, expected, rtol=1e-9)


def test_half_of_the_volume_is_in_ice_thicker_than_the_reference_by_volume():
    bare = valley()
    wedge = np.linspace(60.0, 300.0, bare.bed.size).reshape(bare.bed.shape)
    ice = gb.Glacier(bare.bed, wedge, bare.x, bare.y)
    thickness, _ = priors.reference_geometry(ice, by_volume=True)
    assert wedge[wedge > thickness].sum() <= wedge.sum() / 2 <= wedge[wedge >= thickness].sum()
    assert thickness > priors.reference_geometry(ice)[0] + 10.0


def test_shipped_models_are_found_by_name():
    assert {"creep", "creep_and_sliding"} <= set(model_names())
    assert find_model("creep").__name__ == "model"


def test_a_function_is_itself():
    def model(glacier, observations=None):
        """Nothing."""

    assert find_model(model) is model


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown model.*creep_and_sliding"):
        find_model("slippery")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def model(:\n", "line 1"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("x = 1\n", "no function model"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        find_model(path)
    assert "mine.py" in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="not there"):
        find_model(tmp_path / "absent.py")


@pytest.mark.parametrize(
    ("coupling", "sampled"), [(None, False), (2, False), ("inferred", True)], ids=["none", "given", "inferred"]
)
def test_the_slope_may_be_averaged(coupling, sampled):
    ice = glacier()
    problem = Problem(find_model("creep_and_sliding"), ice, observations(ice), {"coupling": coupling, "end": 2002.0})
    assert ("coupling_thicknesses" in problem.names) == sampled


@pytest.mark.parametrize("coupling", [0, -1.0, "two"])
def test_an_average_over_nothing_is_refused(coupling):
    with pytest.raises(InputError, match=r'option coupling is .*, expected a number of ice thicknesses or "inferred"'):
        Problem(find_model("creep_and_sliding"), glacier(), None, {"coupling": coupling})


def test_the_line_of_a_linear_balance_keeps_its_prior():
    """Of 4000 draws the standard error of the mean is 3.2 m, of the deviation 2.2 m: 5 of them, 1 in a million."""

    def of(key):
        with numpyro.handlers.seed(rng_seed=key), numpyro.handlers.trace() as sites:
            balance = priors.linear_gradient(3000.0, 2950.0)
        return balance.ela, sites["first_balance"]["value"], sites["balance_gradient"]["value"]

    line, first, gradient = (np.asarray(part) for part in jax.vmap(of)(jax.random.split(jax.random.key(0), 4000)))
    assert abs(line.mean() - 3000.0) < 16.0 and abs(line.std() - 200.0) < 11.0
    assert abs(np.corrcoef(line, gradient)[0, 1]) < 0.08
    assert np.allclose(first, gradient * (2950.0 - line))


def test_a_likelihood_may_be_a_factor_alone(tmp_path, capsys):
    def model(glacier, observations=None):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.factor("data", -0.5 * (z - 1.0) ** 2)

    draws = gb.infer(model, None, None, chains=1, draws=4, warmup=1, output=tmp_path / "f.nc")
    assert draws["posterior"]["z"].shape == (1, 4)
    assert "these are draws of its prior" in capsys.readouterr().err
