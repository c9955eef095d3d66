"""The pages in docs/: every example of docs/extending.md is complete, short, and does what the page says."""

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpyro import handlers

import glacierbayes as gb
from glacierbayes import priors

from . import small_glacier as small
from .sampling import sample
from .synthetic_draws import make_draws

DOCS = Path(__file__).parent.parent / "docs"
MAX_LINES = 40
PAGE = (DOCS / "extending.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
BLOCKS = {
    section.splitlines()[0]: re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    for section in SECTIONS
}


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Imports the example of a section as the file that a user would have saved it in."""
    monkeypatch.chdir(tmp_path)

    def load(title: str) -> ModuleType:
        name = "example_" + re.sub(r"\W+", "_", title.lower())
        path = tmp_path / f"{name}.py"
        path.write_text(BLOCKS[title][0])
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_extension_has_one_short_example_and_its_files():
    assert list(BLOCKS) == [
        "A flow law",
        "A multiplier",
        "A family of functions",
        "An observation",
        "An engine",
        "A prior block",
        "A section of the report",
    ]
    for section, (title, blocks) in zip(SECTIONS, BLOCKS.items(), strict=True):
        assert len(blocks) == 1, title
        assert len(blocks[0].splitlines()) <= MAX_LINES, title
        assert re.search(r"^Inside of the package: .*(Two|Three)\s+files\.", section, re.MULTILINE | re.DOTALL), title


@pytest.mark.parametrize("title", BLOCKS)
def test_examples_use_the_public_names_only(title):
    for module, names in re.findall(r"^(?:from|import) (glacierbayes\S*)(?: import (.*))?$", BLOCKS[title][0], re.M):
        assert module == "glacierbayes" and (not names or names in gb.__all__ or names.startswith("as ")), title
    assert not re.search(r"\b(gb|priors)(\.\w+)*\._\w", BLOCKS[title][0]), title


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    root = DOCS.parent
    named = re.findall(r"`((?:docs|tests|models|experiments|glacierbayes)/[\w/.]+\.\w+)`", page.read_text())
    named += [f"docs/{name}" for name in re.findall(r"\]\(([\w.]+\.\w+)\)", page.read_text())]
    assert [name for name in named if not (root / name).exists()] == []


def test_law(example):
    module = example("A flow law")
    diffusivity, mobility = (np.asarray(values) for values in module.law.mobility(module.ice))
    assert np.all(diffusivity >= 0) and np.all(mobility >= 0) and diffusivity[0] == 0
    # both laws have closed forms: Glen's, and C tau^3 / (1 + tau / tau0)
    tau = 900.0 * 9.81 * 300.0 * 0.2
    creep = 2 * 2.4e-24 / 4 * tau**3 * 300.0
    slide = 0.5 * 1e-22 * tau**3 / (1 + tau / 1e5)
    assert mobility[2] * 0.2 == pytest.approx(creep + slide, rel=1e-12)
    assert diffusivity[2] * 0.2 == pytest.approx(creep * 0.8 * 300.0 + slide * 300.0, rel=1e-12)
    # the field is asked of the glacier, and missed by its name
    with pytest.raises(gb.InputError, match="needs the field 'soft_bed'"):
        module.law.bind_fields({})


@pytest.mark.run
def test_multiplier(example):
    module = example("A multiplier")
    assert bool(module.history.ok) and float(module.history.mass_error) < 1e-12
    ice = gb.laws.LocalIce(jnp.asarray([50.0, 50.0]), jnp.asarray([0.04, 0.04]), {"debris": jnp.asarray([0.0, 1.0])})
    factor = np.asarray(module.law.mobility(ice)) / np.asarray(gb.laws.Glen(A=2.4e-24).mobility(ice))
    np.testing.assert_allclose(factor, [[1.0, np.exp(-1.5 * (1 - np.exp(-1.0)))]] * 2, rtol=1e-12)


def test_family(example):
    module = example("A family of functions")
    # 4000 draws: the mean is within 5 standard errors of 0, the standard deviation of the scale
    np.testing.assert_allclose(module.values.mean(0), 0.0, atol=5 * 0.5 / np.sqrt(4000))
    np.testing.assert_allclose(module.values.std(0), 0.5, rtol=5 / np.sqrt(2 * 4000))
    trace = handlers.trace(handlers.seed(module.softness, 0)).get_trace(None)
    function = handlers.seed(module.softness, 0)(None)
    law = gb.laws.Glen(2.4e-24) * gb.laws.Correction(function, ("thickness",))
    ice = gb.laws.LocalIce(jnp.asarray([50.0, 200.0]), jnp.asarray([0.01, 0.01]))
    factor = law.mobility(ice)[0] / gb.laws.Glen(2.4e-24).mobility(ice)[0]
    np.testing.assert_allclose(jnp.log(factor), function(ice.thickness), rtol=1e-9)
    assert trace["softness_weights"]["value"].shape == (8,) and trace["softness"]["value"].shape == (30,)


def seen(module: ModuleType) -> gb.Observations:
    """Made up: a line at 3000 m, errors of 20 m, and no bias."""
    noise = np.random.default_rng(0).normal(0.0, 20.0, 5)
    altitudes = 3000.0 + 120.0 * np.array([-0.5, 0.0, 0.2, 0.4, 1.1]) + noise
    snowline = module.SnowlineAltitude(jnp.asarray(altitudes), jnp.full(5, 20.0), tuple(range(2015, 2020)))
    return gb.Observations(others=(snowline,))


@pytest.mark.run
def test_observation(example, tmp_path):
    module = example("An observation")
    data = seen(module)
    draws = sample(module.snowlines, None, data, draws=200, chains=2)
    draws.to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf") as tree:
        written = tree.load()
    assert written["observed_data"]["snowline"].attrs["units"] == "m"
    assert written["observed_data"]["snowline"].dims == ("summer",)
    assert written["posterior"]["snowline_bias"].attrs["long_name"] == "bias of the images"
    # conjugate: normal prior, bias and errors
    error = 20.0**2 / 5 + 20.0**2
    residual = float(np.mean(data.others[0].observed - 120.0 * np.array([-0.5, 0.0, 0.2, 0.4, 1.1])))
    precision = 1 / 200.0**2 + 1 / error
    line = draws["posterior"]["equilibrium_line"].values
    assert abs(line.mean() - (2900.0 / 200.0**2 + residual / error) / precision) < 5 * precision**-0.5 / np.sqrt(100)
    assert set(gb.check(draws).table.index) == {"equilibrium_line", "snowline_bias"}
    folder = gb.report.write_report(tmp_path / "posterior.nc", tmp_path / "report")
    assert "snowline" in json.loads((folder / "fit.json").read_text())
    page = (folder / "index.html").read_text()
    assert 'src="observed_data.png"' in page and "bias of the images" in page


def normal_model(glacier, observations=None):
    """A model without a glacier whose posterior is known: a normal line, seen five times."""
    from numpyro import distributions as dist

    line = priors.sample("equilibrium_line", dist.Normal(2900.0, 200.0), "m", "equilibrium line altitude")
    priors.observe({"equilibrium_line": line, "warmth": jnp.zeros(5)}, observations)


@pytest.mark.run
def test_engine(example, tmp_path):
    module, data = example("An engine"), seen(example("An observation"))
    settings = {"chains": 2, "draws": 600, "warmup": 50, "seed": 1, "workers": 0}
    draws = gb.infer(normal_model, None, data, method=module.RandomWalk, output=tmp_path / "walk.nc", **settings)
    assert draws.attrs["method"] == "random_walk"
    assert 0.15 < float(draws["sample_stats"]["acceptance_rate"].mean()) < 0.7
    answer = gb.check(draws)
    assert answer.method == "random_walk" and answer.divergences == 0
    error = 20.0**2 / 5 + 20.0**2
    precision = 1 / 200.0**2 + 1 / error
    mean = (2900.0 / 200.0**2 + float(np.mean(data.others[0].observed)) / error) / precision
    line = draws["posterior"]["equilibrium_line"].values
    ess = float(answer.table.loc["equilibrium_line", "ess_bulk"])
    assert abs(line.mean() - mean) < 4 * precision**-0.5 / np.sqrt(ess)
    # interrupted after any chunk and resumed: the same draws
    parts = tmp_path / "walk.nc.parts"
    (tmp_path / "walk.nc").unlink()
    for chunk in sorted(parts.glob("chain1_*.npz"))[5:]:
        chunk.unlink()
    again = gb.infer(
        normal_model, None, data, method=module.RandomWalk, output=tmp_path / "walk.nc", resume=True, **settings
    )
    np.testing.assert_array_equal(again["posterior"]["equilibrium_line"], line)


def test_block(example):
    module = example("A prior block")
    trace = handlers.trace(handlers.seed(module.surveyed_balance, 0)).get_trace(2950.0, 80.0)
    assert {"equilibrium_line", "balance_gradient", "balance_at_3500_m"} == set(trace)
    balance = handlers.seed(module.surveyed_balance, 0)(2950.0, 80.0)
    assert isinstance(balance, gb.mass_balance.LinearGradient)
    assert float(balance.ela) == float(trace["equilibrium_line"]["value"])


@pytest.mark.run
def test_block_in_a_model(example):
    module, ice = example("A prior block"), small.glacier()
    sites: dict = {}

    def trace(key):
        sites.update(handlers.trace(handlers.seed(module.model, key)).get_trace(ice, None, start=2000.0, end=2002.0))

    jax.eval_shape(trace, jax.random.key(0))  # traced, not run
    assert {"thickness_scale", "reference_speed", "equilibrium_line", "balance_gradient"} <= set(sites)


def test_section(example, tmp_path):
    try:
        example("A section of the report")
        folder = gb.report.write_report(make_draws(draws=60), tmp_path / "report")
    finally:
        gb.report.unregister_section("acceptance_rate")
    page = (folder / "index.html").read_text()
    assert "<h2>Acceptance rate</h2>" in page and 'src="acceptance_rate.png"' in page
    assert (folder / "acceptance_rate.png").is_file()


def texts_of_the_package() -> list[str]:
    """Every string in the source, with an ellipsis for each value that is put into it."""
    found = []
    for file in (DOCS.parent / "glacierbayes").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_troubleshooting_quotes_the_messages_as_they_are():
    quoted = re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) > 30
    texts = texts_of_the_package()

    def is_there(message: str) -> bool:
        pattern = ".*".join(re.escape(part) for part in message.split("…"))
        return any(re.match(pattern, text, re.DOTALL) for text in texts)

    assert [message for message in quoted if not is_there(message)] == []


def test_the_picture_of_the_rooms_can_be_drawn(tmp_path):
    """With a place in it for every room: the script refuses otherwise."""
    spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figure = module.draw()
    assert {text.get_text() for text in figure.axes[0].texts} >= set(module.PLACES)
    assert (DOCS / "architecture.png").is_file()
